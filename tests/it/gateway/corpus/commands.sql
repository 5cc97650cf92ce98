-- The protocol's other commands, and what they leave of a session.
-- @command ping
SELECT 1;
-- @command init-db commerce
SELECT DATABASE();
-- @command init-db nosuch
SELECT DATABASE();
-- @command init-db information_schema
SELECT DATABASE();
SELECT COUNT(*) FROM tables WHERE table_schema = 'commerce';
-- @command init-db commerce
SET time_zone = '+01:00', sql_mode = 'ANSI', @x = 1, autocommit = 0;
CREATE TEMPORARY TABLE tmp (id INT);
PREPARE s FROM 'SELECT 1';
SELECT GET_LOCK('reset', 0);
INSERT INTO empty_table VALUES (1, 1);
-- @command reset
SELECT @@time_zone, @@sql_mode, @x, @@autocommit, LAST_INSERT_ID();
SELECT * FROM tmp;
EXECUTE s;
SELECT IS_FREE_LOCK('reset');
SELECT COUNT(*) FROM empty_table;
SELECT DATABASE();
SET time_zone = '+01:00', @x = 2;
SET NAMES latin1;
-- @command change-user
SELECT @@time_zone, @x, @@character_set_client, DATABASE();
BEGIN;
INSERT INTO empty_table VALUES (2, 1);
-- @command change-user
SELECT COUNT(*) FROM empty_table;
-- @command change-user wrong
SELECT 'a new connection';
-- @command set-option 1
SELECT 1;
-- @command set-option 0
SELECT 1;
-- @command set-option 7
SELECT 1;
-- @own counts of the gateway, not of a server
-- @command statistics
SELECT 1;
-- @refused 1047 Unknown command
-- @command unknown 0
SELECT 1;
-- @refused 1047 Unknown command
-- @command unknown 5
SELECT 1;
-- @refused 1047 Unknown command
-- @command unknown 99
SELECT 1;
-- @refused 1047 Unknown command
-- @command unknown 254
SELECT 1;
-- @command execute-unknown 12345
SELECT 1;
-- @command reset-unknown 12345
SELECT 1;
SET @x = 5;
-- @command quit
SELECT @x;
USE information_schema;
SELECT DATABASE();
-- @plan
SHOW TABLES LIKE 'TABLES';
SELECT COUNT(*) FROM commerce.customer;
SELECT COUNT(*) FROM customer;
USE commerce;
SELECT COUNT(*) FROM customer;
use commerce;
USE `commerce`;
-- The database, asked in ways that keep the function's own column
USE information_schema;
SELECT SCHEMA();
select database ( );
SELECT DATABASE(), 1;
-- @command init-db
SELECT DATABASE();
