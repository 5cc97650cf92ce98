-- Transactions in every spelling; each row written is looked at by another connection.
BEGIN;
INSERT INTO empty_table VALUES (1, 1);
SELECT * FROM empty_table;
-- @session b
SELECT * FROM empty_table;
COMMIT;
-- @session b
SELECT * FROM empty_table;
START TRANSACTION;
INSERT INTO empty_table VALUES (2, 2);
ROLLBACK;
SELECT * FROM empty_table;
BEGIN WORK;
COMMIT WORK;
START TRANSACTION READ ONLY;
INSERT INTO empty_table VALUES (3, 3);
SELECT COUNT(*) FROM empty_table;
ROLLBACK;
START TRANSACTION READ WRITE;
INSERT INTO empty_table VALUES (3, 3);
COMMIT;
START TRANSACTION WITH CONSISTENT SNAPSHOT;
-- @session b
INSERT INTO empty_table VALUES (4, 4);
SELECT COUNT(*) FROM empty_table;
COMMIT;
SELECT COUNT(*) FROM empty_table;
START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY;
COMMIT;
START TRANSACTION READ ONLY, READ WRITE;
-- Savepoints
BEGIN;
SAVEPOINT a;
INSERT INTO empty_table VALUES (10, 1);
SAVEPOINT b;
INSERT INTO empty_table VALUES (11, 1);
ROLLBACK TO SAVEPOINT b;
ROLLBACK TO a;
ROLLBACK WORK TO SAVEPOINT a;
INSERT INTO empty_table VALUES (12, 1);
RELEASE SAVEPOINT a;
ROLLBACK TO SAVEPOINT a;
RELEASE SAVEPOINT nosuch;
COMMIT;
SELECT * FROM empty_table ORDER BY id;
-- A savepoint outside a transaction is no error and no savepoint
SAVEPOINT nowhere;
ROLLBACK TO nowhere;
-- Chains
BEGIN;
INSERT INTO empty_table VALUES (20, 1);
COMMIT AND CHAIN;
INSERT INTO empty_table VALUES (21, 1);
ROLLBACK AND CHAIN;
INSERT INTO empty_table VALUES (22, 1);
COMMIT AND NO CHAIN NO RELEASE;
SELECT id FROM empty_table WHERE id >= 20;
-- Nothing to end
COMMIT;
ROLLBACK;
-- A second BEGIN commits the first
BEGIN;
INSERT INTO empty_table VALUES (30, 1);
BEGIN;
ROLLBACK;
SELECT id FROM empty_table WHERE id = 30;
-- DDL commits
BEGIN;
INSERT INTO empty_table VALUES (31, 1);
CREATE TABLE committing (id INT);
ROLLBACK;
SELECT id FROM empty_table WHERE id = 31;
DROP TABLE committing;
-- autocommit off
SET autocommit = 0;
INSERT INTO empty_table VALUES (40, 1);
-- @session b
SELECT id FROM empty_table WHERE id = 40;
ROLLBACK;
SELECT id FROM empty_table WHERE id = 40;
INSERT INTO empty_table VALUES (41, 1);
SET autocommit = 1;
-- @session b
SELECT id FROM empty_table WHERE id = 41;
SET autocommit = OFF;
SELECT @@autocommit;
INSERT INTO empty_table VALUES (42, 1);
COMMIT;
SET @@autocommit = ON;
SET SESSION autocommit = DEFAULT;
SELECT @@autocommit;
-- Isolation of the next transaction, of the session
SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED;
BEGIN;
-- @session b
BEGIN;
-- @session b
INSERT INTO empty_table VALUES (50, 1);
SELECT id FROM empty_table WHERE id = 50;
-- @session b
ROLLBACK;
COMMIT;
SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;
BEGIN;
SELECT COUNT(*) FROM empty_table WHERE id = 51;
-- @session b
INSERT INTO empty_table VALUES (51, 1);
SELECT COUNT(*) FROM empty_table WHERE id = 51;
COMMIT;
SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ;
BEGIN;
SELECT COUNT(*) FROM empty_table WHERE id = 52;
-- @session b
INSERT INTO empty_table VALUES (52, 1);
SELECT COUNT(*) FROM empty_table WHERE id = 52;
SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;
COMMIT;
SET transaction_isolation = 'SERIALIZABLE';
SELECT @@transaction_isolation;
SET SESSION transaction_isolation = DEFAULT;
SET TRANSACTION READ ONLY;
BEGIN;
DELETE FROM empty_table;
ROLLBACK;
SET transaction_read_only = 1;
DELETE FROM empty_table;
SET transaction_read_only = 0;
SET GLOBAL TRANSACTION ISOLATION LEVEL SERIALIZABLE;
-- Locks between two sessions
BEGIN;
UPDATE product SET stock = 1 WHERE sku = 'SKU-1001';
-- @session b
SET SESSION innodb_lock_wait_timeout = 1;
-- @session b
-- @once
UPDATE product SET stock = 2 WHERE sku = 'SKU-1001';
-- @session b
SELECT stock FROM product WHERE sku = 'SKU-1001' FOR UPDATE NOWAIT;
-- @session b
SELECT sku FROM product FOR UPDATE SKIP LOCKED;
-- @session b
SELECT stock FROM product WHERE sku = 'SKU-1001';
COMMIT;
-- @session b
UPDATE product SET stock = 2 WHERE sku = 'SKU-1001';
-- An error inside a transaction ends only its statement
BEGIN;
INSERT INTO empty_table VALUES (60, 1);
INSERT INTO empty_table VALUES (60, 1);
INSERT INTO empty_table VALUES (61, 1);
SELECT nosuch;
COMMIT;
SELECT id FROM empty_table WHERE id >= 60;
-- A transaction that only reads; one of which nothing is seen
BEGIN;
SELECT COUNT(*) FROM empty_table;
SELECT COUNT(*) FROM customer;
COMMIT;
BEGIN;
COMMIT;
BEGIN;
ROLLBACK;
BEGIN;
SELECT 1;
ROLLBACK;
START TRANSACTION /* with a comment */ READ /**/ ONLY;
COMMIT /* and another */;
/*!50000 BEGIN */;
/*!50000 COMMIT */;
SET completion_type = 1;
BEGIN;
COMMIT;
SET completion_type = 0;
COMMIT;
-- The connection goes with COMMIT RELEASE
BEGIN;
COMMIT RELEASE;
SELECT COUNT(*) FROM empty_table;
-- What a client that tracks its session hears of transactions no server has seen
COMMIT AND CHAIN;
ROLLBACK AND CHAIN;
COMMIT;
COMMIT;
SET TRANSACTION READ ONLY;
SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
BEGIN;
SELECT 1;
SELECT DATABASE();
COMMIT AND CHAIN;
USE commerce;
COMMIT;
START TRANSACTION READ ONLY;
SELECT COUNT(*) FROM empty_table;
USE commerce;
INSERT INTO empty_table VALUES (70, 1);
DELETE FROM empty_table WHERE id = 70;
COMMIT;
-- An error ends a transaction, which is heard of with the next answer
BEGIN;
CREATE TABLE customer (id INT);
DO 1;
BEGIN;
INSERT INTO empty_table VALUES (70, 1);
CREATE TABLE customer (id INT);
USE commerce;
-- @quiet
INSERT INTO nosuch VALUES (1);
SELECT ROW_COUNT();
DELETE FROM empty_table WHERE id = 70;
-- Faults
START TRANSACTION READ ONLY, READ WRITE;
START TRANSACTION READ ONLY,;
START TRANSACTION WITH SNAPSHOT;
BEGIN READ ONLY;
COMMIT READ;
COMMIT AND CHAIN RELEASE;
COMMIT AND;
ROLLBACK NOW;
-- The gateway tells of beginnings and ends only
-- @refused 1235 answers BEGIN before a server knows of the transaction
SET session_track_transaction_info = 'STATE';
SET session_track_transaction_info = 'OFF';
