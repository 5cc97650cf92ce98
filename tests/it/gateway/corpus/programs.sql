-- Stored programs: definitions with semicolons inside, calls with several results, OUT parameters, errors from within.
CREATE PROCEDURE simple () SELECT 1;
CALL simple();
CALL simple;
CALL commerce.simple();
-- @block
CREATE PROCEDURE several (IN n INT)
BEGIN
  DECLARE i INT DEFAULT 0; -- a comment; with a semicolon
  SELECT 'first' AS result;
  WHILE i < n DO
    SET i = i + 1;
    SELECT i, i * i AS square;
  END WHILE;
  UPDATE product SET stock = stock + n;
END
-- @end
CALL several(2);
CALL several(0);
CALL several();
CALL several(1, 2);
-- @block
CREATE PROCEDURE outs (IN a INT, OUT b INT, INOUT c INT)
BEGIN
  SET b = a + 1, c = c + a;
  IF c > 10 THEN SELECT 'big'; ELSEIF c = 10 THEN SELECT 'ten'; ELSE BEGIN END; END IF;
END
-- @end
SET @c = 5;
CALL outs(1, @b, @c);
SELECT @b, @c;
CALL outs(10, @b, @c);
CALL outs(1, 2, 3);
-- @block
CREATE PROCEDURE fails (IN how INT)
BEGIN
  SELECT 'before' AS so_far;
  CASE how
    WHEN 1 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'it was asked to';
    WHEN 2 THEN INSERT INTO nosuch VALUES (1);
    WHEN 3 THEN SIGNAL SQLSTATE '01000' SET MESSAGE_TEXT = 'a warning';
    ELSE SELECT CASE WHEN how > 5 THEN 'much' ELSE 'little' END AS how_much;
  END CASE;
END
-- @end
CALL fails(1);
CALL fails(2);
CALL fails(3);
CALL fails(6);
-- @block
CREATE PROCEDURE handles ()
BEGIN
  DECLARE done INT DEFAULT FALSE;
  DECLARE who VARCHAR(128);
  DECLARE total INT DEFAULT 0;
  DECLARE all_of_them CURSOR FOR SELECT email FROM customer ORDER BY id;
  DECLARE CONTINUE HANDLER FOR NOT FOUND SET done = TRUE;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN GET DIAGNOSTICS CONDITION 1 @text = MESSAGE_TEXT; SELECT 'caught', @text; END;
  OPEN all_of_them;
  reading: LOOP
    FETCH all_of_them INTO who;
    IF done THEN LEAVE reading; END IF;
    SET total = total + 1;
    REPEAT SET @x = 1; UNTIL TRUE END REPEAT;
    ITERATE reading;
  END LOOP;
  CLOSE all_of_them;
  SELECT total;
  SELECT * FROM nosuch;
END
-- @end
CALL handles();
-- @block
CREATE PROCEDURE transact ()
BEGIN
  START TRANSACTION;
  INSERT INTO empty_table VALUES (1, 1);
  COMMIT;
  START TRANSACTION;
  INSERT INTO empty_table VALUES (2, 1);
END
-- @end
CALL transact();
ROLLBACK;
SELECT * FROM empty_table;
-- @block
CREATE PROCEDURE sets ()
BEGIN
  SET time_zone = '+07:00';
  SET @by_procedure = 'set';
  CREATE TEMPORARY TABLE by_procedure (id INT);
END
-- @end
CALL sets();
SELECT @@time_zone, @by_procedure;
SELECT * FROM by_procedure;
-- @block
CREATE PROCEDURE dynamic (IN name VARCHAR(64))
BEGIN
  SET @sql = CONCAT('SELECT COUNT(*) FROM ', name);
  PREPARE st FROM @sql;
  EXECUTE st;
  DEALLOCATE PREPARE st;
END
-- @end
CALL dynamic('customer');
CALL dynamic('nosuch');
-- @block
CREATE DEFINER=CURRENT_USER FUNCTION grade (n INT) RETURNS VARCHAR(10) CHARSET utf8mb4
READS SQL DATA
COMMENT 'with; a semicolon'
BEGIN
  DECLARE answer VARCHAR(10);
  IF n > (SELECT COUNT(*) FROM customer) THEN SET answer = 'many'; ELSE SET answer = 'few'; END IF;
  RETURN answer;
END
-- @end
SELECT grade(3), commerce.grade(100);
SELECT id, grade(id) FROM customer ORDER BY id;
-- @block
CREATE TRIGGER stamped BEFORE INSERT ON empty_table FOR EACH ROW
BEGIN
  SET NEW.v = IFNULL(NEW.v, 0) + 1000;
  IF NEW.id < 0 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no negative ids'; END IF;
END
-- @end
CREATE TRIGGER logged AFTER DELETE ON commerce.empty_table FOR EACH ROW FOLLOWS nosuch INSERT INTO numbers VALUES (OLD.id, 0);
CREATE TRIGGER logged AFTER DELETE ON commerce.empty_table FOR EACH ROW INSERT INTO numbers VALUES (OLD.id + 1000, 0);
INSERT INTO empty_table VALUES (5, 1);
INSERT INTO empty_table VALUES (-5, 1);
DELETE FROM empty_table WHERE id = 5;
SELECT * FROM numbers WHERE n > 1000;
SHOW TRIGGERS LIKE 'empty%';
SHOW CREATE PROCEDURE several;
SHOW CREATE FUNCTION grade;
-- @volatile
SHOW PROCEDURE STATUS WHERE Db = 'commerce';
DROP TRIGGER stamped;
DROP TRIGGER commerce.logged;
DROP TRIGGER IF EXISTS nosuch;
-- @block
CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' DISABLE DO
BEGIN
  DELETE FROM empty_table WHERE id < 0;
  DELETE FROM empty_table WHERE id > 1000;
END
-- @end
ALTER EVENT nightly RENAME TO weekly;
-- @plan
SELECT event_name, status FROM information_schema.events WHERE event_schema = 'commerce';
DROP EVENT weekly;
ALTER PROCEDURE simple COMMENT 'altered' SQL SECURITY INVOKER;
DROP PROCEDURE simple;
DROP PROCEDURE simple;
DROP PROCEDURE IF EXISTS commerce.simple;
CALL nosuch();
-- @refused 1049 Unknown database 'nosuch'
CALL nosuch.simple();
CALL customer.simple();
CREATE PROCEDURE broken () BEGIN SELECT 1;
-- @block
CREATE PROCEDURE labelled () outer_block: BEGIN inner_block: BEGIN LEAVE outer_block; END inner_block; SELECT 'never'; END outer_block
-- @end
CALL labelled();
-- @args 3
CALL several(?);
-- @args 4, NULL, 7
CALL outs(?, ?, ?);
