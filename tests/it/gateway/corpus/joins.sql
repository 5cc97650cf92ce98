-- Joins, common table expressions, window functions, derived tables, the newer kinds of tables.
SELECT c.email, o.sku FROM customer c JOIN corder o ON o.customer_id = c.id ORDER BY o.order_id;
SELECT c.email, o.sku FROM customer c, corder o WHERE o.customer_id = c.id ORDER BY o.order_id;
SELECT c.email, o.sku FROM customer c LEFT JOIN corder o ON o.customer_id = c.id ORDER BY c.id, o.order_id;
SELECT c.email, o.sku FROM corder o RIGHT OUTER JOIN customer c ON o.customer_id = c.id ORDER BY c.id, o.order_id;
SELECT COUNT(*) FROM customer CROSS JOIN product;
SELECT COUNT(*) FROM customer INNER JOIN product;
SELECT COUNT(*) FROM customer STRAIGHT_JOIN product;
SELECT STRAIGHT_JOIN COUNT(*) FROM customer JOIN product;
SELECT sku, product.description FROM corder NATURAL JOIN (SELECT sku, description FROM product) product ORDER BY order_id;
SELECT sku, description FROM corder JOIN product USING (sku) ORDER BY order_id;
SELECT a.id, b.id FROM commerce.customer a JOIN commerce.customer b ON a.id = b.id + 1 ORDER BY 1;
SELECT customer.id, corder.order_id FROM (customer, product) LEFT JOIN corder ON corder.customer_id = customer.id AND corder.sku = product.sku ORDER BY 1, 2;
SELECT c.id FROM { OJ customer c LEFT OUTER JOIN corder o ON c.id = o.customer_id } WHERE o.order_id IS NULL ORDER BY 1;
SELECT c.id, t.total FROM customer c, LATERAL (SELECT SUM(price) AS total FROM corder o WHERE o.customer_id = c.id) t ORDER BY c.id;
SELECT c.id, t.sku FROM customer c LEFT JOIN LATERAL (SELECT sku FROM corder o WHERE o.customer_id = c.id LIMIT 1) t ON TRUE ORDER BY c.id;
SELECT * FROM JSON_TABLE('[{"a": 1}, {"a": "x"}, {}]', '$[*]' COLUMNS (n FOR ORDINALITY, a VARCHAR(10) PATH '$.a' DEFAULT '"none"' ON EMPTY, e INT EXISTS PATH '$.a')) AS jt;
SELECT e.id, jt.v FROM everything e, JSON_TABLE(e.j, '$.k[*]' COLUMNS (v JSON PATH '$')) jt ORDER BY e.id, jt.v;
VALUES ROW(1, 'a'), ROW(2, 'b') ORDER BY column_0 DESC LIMIT 1;
SELECT * FROM (VALUES ROW(1, 2), ROW(3, 4)) AS v (x, y);
TABLE numbers ORDER BY n LIMIT 3;
TABLE commerce.empty_table;
SELECT * FROM (TABLE product) p ORDER BY sku;
WITH t AS (SELECT 1 AS x) SELECT * FROM t;
WITH customer AS (SELECT 'hidden' AS x) SELECT * FROM customer;
WITH a AS (SELECT id FROM customer), b (i) AS (SELECT id + 1 FROM a) SELECT a.id, b.i FROM a JOIN b ON a.id = b.i ORDER BY 1;
WITH RECURSIVE up (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < 5) SELECT n FROM up;
WITH RECURSIVE up (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up) SELECT n FROM up;
WITH t AS (SELECT sku FROM corder) SELECT p.sku FROM product p WHERE p.sku NOT IN (SELECT sku FROM t) UNION SELECT sku FROM t ORDER BY 1;
SELECT * FROM (WITH t AS (SELECT 1 AS x) SELECT x FROM t) AS d;
SELECT order_id, ROW_NUMBER() OVER (ORDER BY price), RANK() OVER w, LAG(price, 1, 0) OVER w, SUM(price) OVER (PARTITION BY customer_id ORDER BY order_id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM corder WINDOW w AS (ORDER BY order_id) ORDER BY order_id;
SELECT order_id, NTILE(2) OVER (ORDER BY order_id), PERCENT_RANK() OVER (ORDER BY order_id), FIRST_VALUE(sku) OVER (ORDER BY order_id), NTH_VALUE(sku, 2) OVER (ORDER BY order_id RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) FROM corder ORDER BY order_id;
SELECT COUNT(*) FROM customer a JOIN (customer b JOIN corder c ON b.id = c.customer_id) ON a.id = b.id;
SELECT COUNT(*) FROM ((customer a JOIN corder b ON a.id = b.customer_id));
-- @plan
SELECT COUNT(*) FROM information_schema.tables t JOIN customer c ON t.table_name = 'customer' AND t.table_schema = 'commerce';
-- @plan
SELECT table_name FROM information_schema.tables WHERE table_schema = 'commerce' ORDER BY table_name;
-- @plan
SELECT schema_name FROM information_schema.schemata WHERE schema_name = 'commerce';
-- @plan
SELECT column_name, data_type, character_maximum_length FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'everything' ORDER BY ordinal_position;
SELECT EXTRACT(DAY FROM born) FROM customer WHERE id = 1;
SELECT COUNT(*) FROM customer WHERE born IN (SELECT born FROM customer WHERE born > '1985-01-01') AND id NOT IN (SELECT customer_id FROM corder WHERE sku = 'SKU-1003');
SELECT * FROM customer, nosuch;
SELECT * FROM customer JOIN customer ON 1 = 1;
SELECT nosuch.x FROM customer;
SELECT id FROM customer c JOIN corder c ON 1;
