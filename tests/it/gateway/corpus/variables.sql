-- User variables, SQL PREPARE, diagnostics: what lives in a connection.
SET @a = 1;
SELECT @a;
SET @b := @a + 1, @c = 'text', @d = NULL, @e = 1.50, @f = X'00FF', @g = 1e5;
SELECT @a, @b, @c, @d, @e, @f, @g, @nosuch;
SET @A = 'case does not matter';
SELECT @a;
SET @`quoted name` = 1, @'single' = 2, @"double" = 3, @a.b$c = 4;
SELECT @`quoted name`, @'single', @"double", @a.b$c;
SELECT @r := 5;
SELECT @r, @r := @r + 1, @r;
SELECT id, email INTO @id, @email FROM customer WHERE id = 2;
SELECT @id, @email;
SELECT id FROM customer INTO @id;
SELECT id FROM customer WHERE id = 99 INTO @id;
SELECT id, email INTO @id FROM customer WHERE id = 1;
SELECT COUNT(*) INTO @n FROM customer;
SELECT @n;
SET @rownum = 0;
SELECT (@rownum := @rownum + 1) AS n, id FROM customer ORDER BY id;
SET @j = JSON_OBJECT('a', 1);
SELECT JSON_EXTRACT(@j, '$.a'), JSON_TYPE(@j);
SET @q = (SELECT MAX(id) FROM customer);
SELECT * FROM customer WHERE id = @q;
INSERT INTO empty_table VALUES (@a := 7, @a);
UPDATE empty_table SET v = (@v := v + 1);
SELECT @v;
-- @session b
SELECT @v, @a;
-- SQL PREPARE
PREPARE s FROM 'SELECT * FROM customer WHERE id = ?';
SET @id = 3;
EXECUTE s USING @id;
EXECUTE s;
EXECUTE s USING @id, @id;
DEALLOCATE PREPARE s;
EXECUTE s USING @id;
SET @sql = 'SELECT COUNT(*) FROM corder WHERE customer_id IN (?, ?)';
PREPARE s FROM @sql;
SET @x = 1, @y = 2;
EXECUTE s USING @x, @y;
PREPARE s FROM 'INSERT INTO empty_table VALUES (?, ?)';
SET @x = 100;
EXECUTE s USING @x, @y;
EXECUTE s USING @x, @y;
DROP PREPARE s;
DROP PREPARE s;
PREPARE s FROM 'SELECT nosuch';
PREPARE s FROM 'SELEC 1';
PREPARE s FROM 'SELECT 1; SELECT 2';
PREPARE s FROM 'PREPARE t FROM "SELECT 1"';
PREPARE s FROM 'CREATE TABLE prepared_table (id INT)';
EXECUTE s;
EXECUTE s;
DROP TABLE prepared_table;
-- @session b
EXECUTE s;
EXECUTE s;
PREPARE `odd name` FROM 'SELECT 1 AS `one`';
EXECUTE `odd name`;
DEALLOCATE PREPARE `odd name`;
PREPARE s FROM 'BEGIN';
EXECUTE s;
ROLLBACK;
PREPARE s FROM 'SET time_zone = "+03:00"';
EXECUTE s;
SELECT @@time_zone;
PREPARE s FROM 'USE commerce';
PREPARE s FROM 'SELECT COUNT(*) FROM commerce.customer';
EXECUTE s;
PREPARE s FROM 'SHOW TABLES LIKE "empty%"';
EXECUTE s;
-- What the last statement left
-- @quiet
SELECT SQL_CALC_FOUND_ROWS * FROM numbers LIMIT 3;
SELECT FOUND_ROWS();
SELECT FOUND_ROWS();
-- @quiet
SELECT n FROM numbers WHERE n < 10;
SELECT FOUND_ROWS(), ROW_COUNT();
-- @quiet
DELETE FROM numbers WHERE n > 95;
SELECT ROW_COUNT(), FOUND_ROWS();
-- @quiet
UPDATE numbers SET square = 0 WHERE n > 90;
-- @quiet
DO 1;
SELECT ROW_COUNT();
-- @quiet
SELECT 1/0, 'x' + 1;
SHOW WARNINGS;
SHOW COUNT(*) WARNINGS;
SELECT @@warning_count, @@error_count;
-- @quiet
SELECT 1/0, 'x' + 1;
SELECT @@warning_count;
SHOW WARNINGS LIMIT 1;
-- @quiet
SELECT nosuch FROM customer;
SHOW ERRORS;
SHOW COUNT(*) ERRORS;
-- @quiet
SELECT nosuch FROM customer;
GET DIAGNOSTICS CONDITION 1 @state = RETURNED_SQLSTATE, @code = MYSQL_ERRNO, @text = MESSAGE_TEXT;
SELECT @state, @code, @text;
-- @quiet
INSERT INTO nosuch VALUES (1);
GET DIAGNOSTICS @n = NUMBER, @rows = ROW_COUNT;
SELECT @n, @rows;
GET CURRENT DIAGNOSTICS CONDITION 9 @code = MYSQL_ERRNO;
GET STACKED DIAGNOSTICS @n = NUMBER;
-- @quiet
INSERT INTO customer (email) VALUES ('last@example.com');
SELECT LAST_INSERT_ID();
SELECT LAST_INSERT_ID(42);
SELECT LAST_INSERT_ID(), @@identity;
UPDATE empty_table SET v = LAST_INSERT_ID(v + 1) WHERE id = 7;
SELECT LAST_INSERT_ID();
-- @session b
SELECT LAST_INSERT_ID();
SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'mine', MYSQL_ERRNO = 5000;
SIGNAL SQLSTATE '01000' SET MESSAGE_TEXT = 'only a warning';
SIGNAL SQLSTATE '02000';
RESIGNAL;
