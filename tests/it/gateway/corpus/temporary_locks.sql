-- Temporary tables, table locks, named locks, handlers: what ties a session to a server connection.
CREATE TEMPORARY TABLE tmp (id INT PRIMARY KEY, v INT);
INSERT INTO tmp VALUES (1, 1), (2, 2);
SELECT * FROM tmp;
-- @session b
SELECT * FROM tmp;
SELECT COUNT(*) FROM tmp JOIN customer USING (id);
CREATE TEMPORARY TABLE IF NOT EXISTS tmp (id INT);
CREATE TEMPORARY TABLE customer (id INT);
SELECT * FROM customer;
SHOW CREATE TABLE customer;
DROP TEMPORARY TABLE customer;
SELECT COUNT(*) FROM customer;
CREATE TEMPORARY TABLE tmp2 LIKE product;
CREATE TEMPORARY TABLE tmp3 AS SELECT * FROM product;
ALTER TABLE tmp3 ADD COLUMN extra INT DEFAULT 5;
SELECT * FROM tmp3 ORDER BY sku;
TRUNCATE TABLE tmp3;
RENAME TABLE tmp3 TO tmp4;
CREATE INDEX i ON tmp (v);
DROP TABLE tmp, tmp2;
DROP TEMPORARY TABLE IF EXISTS tmp, tmp3;
DROP TEMPORARY TABLE product;
BEGIN;
CREATE TEMPORARY TABLE in_transaction (id INT);
INSERT INTO in_transaction VALUES (1);
ROLLBACK;
SELECT COUNT(*) FROM in_transaction;
-- Table locks
LOCK TABLES customer READ;
SELECT COUNT(*) FROM customer;
INSERT INTO customer (email) VALUES ('locked@example.com');
SELECT COUNT(*) FROM product;
-- @session b
SELECT COUNT(*) FROM customer;
-- @session b
SET SESSION lock_wait_timeout = 1;
-- @session b
-- @once
INSERT INTO customer (email) VALUES ('locked@example.com');
UNLOCK TABLES;
-- @session b
INSERT INTO customer (email) VALUES ('unlocked@example.com');
LOCK TABLES customer AS c READ LOCAL, product WRITE, corder LOW_PRIORITY WRITE;
SELECT COUNT(*) FROM customer c;
SELECT COUNT(*) FROM customer;
UPDATE product SET stock = 0;
UNLOCK TABLES;
LOCK TABLE commerce.numbers WRITE;
DELETE FROM numbers WHERE n = 1;
UNLOCK TABLE;
LOCK TABLES nosuch READ;
LOCK TABLES;
UNLOCK TABLES;
LOCK TABLES numbers WRITE;
BEGIN;
DELETE FROM numbers WHERE n = 2;
COMMIT;
SELECT COUNT(*) FROM numbers;
LOCK INSTANCE FOR BACKUP;
FLUSH TABLES customer WITH READ LOCK;
FLUSH TABLES WITH READ LOCK;
-- Named locks
SELECT GET_LOCK('mine', 1);
SELECT IS_FREE_LOCK('mine'), IS_FREE_LOCK('other');
-- @volatile
SELECT IS_USED_LOCK('mine');
SELECT IS_USED_LOCK('mine') = CONNECTION_ID();
-- @session b
SELECT GET_LOCK('mine', 0);
-- @session b
SELECT RELEASE_LOCK('mine');
SELECT GET_LOCK('mine', 1), GET_LOCK('second', 1);
SELECT RELEASE_LOCK('mine');
SELECT RELEASE_LOCK('mine'), RELEASE_LOCK('mine');
SELECT RELEASE_ALL_LOCKS();
-- @session b
SELECT GET_LOCK('mine', 0);
-- @session b
DO RELEASE_LOCK('mine');
SELECT GET_LOCK('', 1);
SELECT GET_LOCK(NULL, 1);
-- Handlers
HANDLER customer OPEN;
HANDLER customer READ FIRST;
HANDLER customer READ NEXT LIMIT 2;
HANDLER customer READ `PRIMARY` = (2);
HANDLER customer READ email FIRST WHERE id > 1;
HANDLER customer CLOSE;
HANDLER customer READ FIRST;
HANDLER product OPEN AS h;
HANDLER h READ sku LAST;
HANDLER h CLOSE;
