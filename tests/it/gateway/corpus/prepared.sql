-- Prepared statements with parameters of every type.
-- @args 1
SELECT ?;
-- @args 1, 'two', 3.5, NULL, 0xff00
SELECT ?, ?, ?, ?, ?;
-- @args 2
SELECT * FROM customer WHERE id = ?;
-- @args 'bob@example.com'
SELECT * FROM commerce.customer WHERE email = ?;
-- @args 'ю', '😀'
SELECT ?, HEX(?);
-- @args 500, 'x'
INSERT INTO empty_table VALUES (?, LENGTH(?));
-- @args 500, 'x'
INSERT INTO empty_table VALUES (?, LENGTH(?));
-- @args 1, 500
UPDATE empty_table SET v = ? WHERE id = ?;
-- @args 500
DELETE FROM empty_table WHERE id = ?;
-- @args 2
SELECT n FROM numbers ORDER BY n LIMIT ?;
-- @args 5, 3
SELECT n FROM numbers ORDER BY n LIMIT ? OFFSET ?;
-- @args 1, 2, 3
SELECT id FROM customer WHERE id IN (?, ?, ?) ORDER BY id;
-- @args 'a%'
SELECT id FROM customer WHERE email LIKE ?;
-- @args 10
SELECT n, square FROM numbers WHERE n <= ? ORDER BY n;
-- @args 1
SELECT * FROM everything WHERE id = ?;
-- @args 3
SELECT * FROM everything WHERE id <= ? ORDER BY id;
-- @args '2024-02-29', '10:00:00'
SELECT DATE_ADD(?, INTERVAL 1 DAY), TIME_TO_SEC(?);
-- @args 0x000102ff
SELECT HEX(?), LENGTH('?'), "?" /* ? */ -- ?
;
-- @args NULL
SELECT * FROM customer WHERE name <=> ? ORDER BY id;
-- @args 'x'
SELECT ? + 1;
-- @args 1
SELECT nosuch FROM customer WHERE id = ?;
-- @args 1
SELECT * FROM nosuch WHERE id = ?;
-- @args 1
SELECT ?, ?;
-- @args 1
CREATE TABLE by_parameter (id INT DEFAULT ?);
-- @args 1
SET @p = ?;
SELECT @p;
-- @args 'GET'
SELECT GET_LOCK(?, 1);
-- @args 'GET'
SELECT RELEASE_LOCK(?);
-- @args 1
DO ?;
-- @args 1, 9
WITH t AS (SELECT ? AS a) SELECT a, ? FROM t;
-- @args 7
INSERT INTO empty_table (id) VALUES (?) ON DUPLICATE KEY UPDATE v = id;
-- @args 7, 8
REPLACE INTO empty_table VALUES (?, ?);
-- @args 1, 1
SELECT * FROM customer WHERE id = ? AND 1 = ? FOR UPDATE;
-- @args 60000
SELECT REPEAT('x', ?);
-- @args 3
SELECT n, REPEAT('y', 40000) FROM numbers WHERE n <= ? ORDER BY n;
BEGIN;
-- @args 77
INSERT INTO empty_table (id) VALUES (?);
ROLLBACK;
-- @args 77
SELECT COUNT(*) FROM empty_table WHERE id = ?;
CREATE TEMPORARY TABLE tmp (id INT);
-- @args 1
INSERT INTO tmp VALUES (?);
SELECT * FROM tmp;
SET NAMES latin1;
-- @args 0xe9
SELECT HEX(?), CHARSET(?);
SET NAMES utf8mb4;
