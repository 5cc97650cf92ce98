-- SHOW and its relatives, but for what the gateway answers itself.
SHOW TABLES;
SHOW FULL TABLES;
SHOW EXTENDED TABLES LIKE 'cust%';
SHOW TABLES FROM commerce;
SHOW TABLES IN `commerce` LIKE '%e';
SHOW TABLES WHERE Tables_in_commerce = 'product';
SHOW FULL TABLES FROM commerce WHERE Table_type = 'VIEW';
-- @text
SHOW TABLES FROM nosuch;
-- Prepared, it is refused at once: there is no server to prepare it on
-- @refused 1049 Unknown database 'nosuch'
SHOW TABLES FROM nosuch;
SHOW COLUMNS FROM customer;
SHOW COLUMNS FROM customer FROM commerce;
SHOW COLUMNS FROM commerce.customer LIKE 'e%';
SHOW FULL COLUMNS IN everything WHERE Field = 'j';
SHOW EXTENDED FULL COLUMNS FROM empty_table;
SHOW FIELDS FROM product;
SHOW COLUMNS FROM nosuch;
DESCRIBE customer;
DESC customer email;
DESC commerce.customer 'e%';
EXPLAIN customer;
DESCRIBE nosuch;
SHOW INDEX FROM customer;
SHOW INDEXES IN corder IN commerce;
SHOW KEYS FROM commerce.corder WHERE Key_name = 'PRIMARY';
SHOW EXTENDED INDEX FROM empty_table;
SHOW CREATE TABLE customer;
SHOW CREATE TABLE commerce.corder;
SHOW CREATE TABLE `odd name`;
SHOW CREATE TABLE nosuch;
SHOW CREATE DATABASE commerce;
SHOW CREATE SCHEMA IF NOT EXISTS commerce;
-- @text
SHOW CREATE DATABASE nosuch;
-- @refused 1049 Unknown database 'nosuch'
SHOW CREATE DATABASE nosuch;
CREATE VIEW shown AS SELECT id, email FROM customer WHERE id < 3;
SHOW CREATE VIEW shown;
SHOW CREATE TABLE shown;
SHOW FULL TABLES WHERE Table_type = 'VIEW';
SHOW FULL COLUMNS FROM shown;
DROP VIEW shown;
-- @volatile
SHOW TABLE STATUS;
-- @volatile
SHOW TABLE STATUS FROM commerce LIKE 'customer';
-- @plan
SHOW TABLE STATUS WHERE Name = 'nosuch';
-- @plan
SHOW OPEN TABLES WHERE `Table` = 'nosuch';
-- @plan
SHOW TRIGGERS;
-- @plan
SHOW TRIGGERS FROM commerce LIKE 'x%';
-- @plan
SHOW EVENTS;
-- @plan
SHOW EVENTS FROM commerce;
-- @plan
SHOW PROCEDURE STATUS WHERE Db = 'commerce';
-- @plan
SHOW FUNCTION STATUS LIKE 'nosuch';
SHOW CREATE PROCEDURE nosuch;
SHOW CREATE FUNCTION commerce.nosuch;
SHOW CREATE TRIGGER nosuch;
SHOW CREATE EVENT nosuch;
SHOW CREATE USER nosuch;
SHOW CHARACTER SET LIKE 'utf8mb4';
SHOW CHARSET WHERE Charset = 'latin1';
SHOW COLLATION LIKE 'utf8mb4_0900%';
SHOW ENGINES;
SHOW STORAGE ENGINES;
SHOW ENGINE INNODB STATUS;
SHOW PLUGINS;
SHOW PRIVILEGES;
SHOW GRANTS;
SHOW GRANTS FOR CURRENT_USER;
SHOW GRANTS FOR CURRENT_USER();
SHOW GRANTS FOR nosuch;
SHOW VARIABLES LIKE 'character\_set\_%';
SHOW VARIABLES LIKE 'version%';
SHOW GLOBAL VARIABLES LIKE 'max_allowed_packet';
SHOW VARIABLES LIKE 'nosuch';
-- @volatile
SHOW STATUS LIKE 'Uptime';
SHOW GLOBAL STATUS LIKE 'nosuch';
SHOW SESSION STATUS WHERE Variable_name = 'nosuch';
-- @volatile
SHOW STATUS LIKE 'Last_query_cost';
SHOW WARNINGS;
SHOW ERRORS LIMIT 1;
SHOW COUNT(*) WARNINGS;
SHOW PROFILES;
SHOW PROFILE;
SHOW BINARY LOGS;
SHOW BINARY LOG STATUS;
SHOW MASTER STATUS;
SHOW REPLICA STATUS;
SHOW REPLICAS;
SHOW BINLOG EVENTS LIMIT 1;
SHOW RELAYLOG EVENTS;
SHOW PARSE_TREE SELECT 1;
SHOW NOSUCH;
SHOW;
-- information_schema says the same in other words
-- @plan
SELECT TABLE_NAME, TABLE_TYPE, ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'commerce' ORDER BY TABLE_NAME;
-- @plan
SELECT INDEX_NAME, COLUMN_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX;
-- @plan
SELECT * FROM information_schema.KEY_COLUMN_USAGE WHERE CONSTRAINT_SCHEMA = 'commerce' AND TABLE_NAME = 'corder' ORDER BY CONSTRAINT_NAME;
-- @plan
SELECT COUNT(*) > 0 FROM information_schema.PROCESSLIST WHERE DB = 'commerce';
-- @plan
SELECT COUNT(*) FROM information_schema.innodb_trx;
SELECT * FROM performance_schema.session_account_connect_attrs;
-- @volatile
SELECT * FROM mysql.user;
SELECT COUNT(*) FROM mysql.time_zone_name;
SELECT * FROM sys.version;
-- EXPLAIN
EXPLAIN SELECT 1;
EXPLAIN SELECT * FROM customer WHERE id = 1;
DESC SELECT * FROM customer WHERE id = 1;
-- @volatile
EXPLAIN FORMAT=TREE SELECT * FROM customer JOIN corder ON customer.id = customer_id;
-- @volatile
EXPLAIN FORMAT=JSON SELECT * FROM customer WHERE email = 'bob@example.com';
-- @volatile
EXPLAIN ANALYZE SELECT * FROM customer;
EXPLAIN FORMAT=NOSUCH SELECT 1;
EXPLAIN UPDATE customer SET name = 'x' WHERE id = 1;
EXPLAIN DELETE FROM customer WHERE id = 1;
EXPLAIN INSERT INTO empty_table VALUES (1, 1);
EXPLAIN REPLACE INTO empty_table VALUES (1, 1);
EXPLAIN FOR CONNECTION 4294967295;
EXPLAIN WITH t AS (SELECT 1 AS x) SELECT * FROM t;
EXPLAIN TABLE empty_table;
EXPLAIN FORMAT=JSON INTO @plan SELECT 1;
SELECT @plan IS NOT NULL;
EXPLAIN SELECT * FROM nosuch;
-- Table administration
CHECK TABLE customer, product;
CHECK TABLE customer QUICK FAST MEDIUM;
CHECK TABLE nosuch;
ANALYZE TABLE customer;
ANALYZE LOCAL TABLE commerce.customer;
ANALYZE TABLE customer UPDATE HISTOGRAM ON name WITH 4 BUCKETS;
ANALYZE TABLE customer DROP HISTOGRAM ON name;
CHECKSUM TABLE product, empty_table;
CHECKSUM TABLE product EXTENDED;
OPTIMIZE TABLE empty_table;
REPAIR TABLE empty_table;
CACHE INDEX empty_table IN hot;
LOAD INDEX INTO CACHE empty_table;
-- Help
HELP 'SELECT';
HELP 'nosuch topic';
