-- Several statements in one text. The gateway takes it apart, so a syntax error cites less of what follows: @messages.
-- @block
SELECT 1; SELECT 2
-- @end
-- @block
SELECT 1; SELECT 2;
-- @end
-- @block
SELECT 1;; SELECT 2
-- @end
-- @block
SELECT 1; SELECT nosuch; SELECT 3
-- @end
-- @block
INSERT INTO empty_table VALUES (1, 1); INSERT INTO empty_table VALUES (2, 2), (3, 3); SELECT * FROM empty_table; DELETE FROM empty_table
-- @end
-- @block
SET @x = 1; SELECT @x; SET @x = @x + 1; SELECT @x
-- @end
-- @block
BEGIN; INSERT INTO empty_table VALUES (9, 9); ROLLBACK; SELECT COUNT(*) FROM empty_table
-- @end
-- @block
BEGIN; INSERT INTO empty_table VALUES (10, 9); SELECT nosuch; COMMIT
-- @end
SELECT COUNT(*) FROM empty_table;
ROLLBACK;
SELECT COUNT(*) FROM empty_table;
-- @block
SELECT 'a;b'; SELECT "c;d"; SELECT 1 /* e;f */; SELECT 2 -- g;h
; SELECT 3 # i;j
; SELECT `id` FROM customer LIMIT 1
-- @end
-- @block
SELECT 1; /* only a comment */
-- @end
-- @block
SELECT 1; -- only a comment
-- @end
-- @block
SELECT 1; /*!50000 SELECT 2 */; SELECT 3
-- @end
-- @messages
-- @block
/*!50000 SELECT 1; */ SELECT 2
-- @end
-- @block
CREATE PROCEDURE counted () BEGIN SELECT 1; SELECT 2; END; CALL counted(); SELECT 'after'
-- @end
-- @block
CALL counted(); CALL counted()
-- @end
-- @block
DROP PROCEDURE counted; SELECT ROW_COUNT()
-- @end
-- @block
SELECT 1/0; SHOW WARNINGS; SELECT @@warning_count
-- @end
-- @block
SELECT SQL_CALC_FOUND_ROWS n FROM numbers LIMIT 2; SELECT FOUND_ROWS()
-- @end
-- @block
USE commerce; SELECT DATABASE(); SET time_zone = '+04:00'; SELECT @@time_zone
-- @end
-- @block
SET sql_mode = 'ANSI_QUOTES'; SELECT "id" FROM customer LIMIT 1; SET sql_mode = DEFAULT; SELECT "id"
-- @end
-- @block
INSERT INTO customer (email) VALUES ('multi@example.com'); SELECT LAST_INSERT_ID() > 0; UPDATE customer SET name = 'm' WHERE email = 'multi@example.com'
-- @end
-- @block
PREPARE s FROM 'SELECT 1; SELECT 2'; SELECT 1
-- @end
-- @messages
-- @block
SELECT 1; SELEC 2; SELECT 3
-- @end
-- @messages
-- @block
SELEC 1; SELECT 2
-- @end
-- @block
CREATE TABLE in_between (id INT); INSERT INTO in_between VALUES (1); DROP TABLE in_between; SELECT * FROM in_between
-- @end
-- @block
CREATE TRIGGER t BEFORE INSERT ON empty_table FOR EACH ROW BEGIN SET NEW.v = 5; END; INSERT INTO empty_table VALUES (1, 1); SELECT * FROM empty_table; DROP TRIGGER t
-- @end
-- @block
SELECT CASE WHEN 1 THEN 'x' END; SELECT IF(1, 2, 3); SELECT 1 AS `begin`; SELECT 2 AS `end`
-- @end
-- @messages
-- @block
BEGIN; SELECT 1; END; SELECT 2
-- @end
ROLLBACK;
