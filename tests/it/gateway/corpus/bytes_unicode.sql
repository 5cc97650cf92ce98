-- Text in many scripts and bytes that are none, in and out, through several character sets.
SELECT 'Привет', '你好', 'שלום', 'مرحبا', 'ไทย', '😀👩‍👩‍👧', 'e\u0301', 'Å', 'ß', 'İ', 'ﬀ';
SELECT CHAR_LENGTH('😀'), LENGTH('😀'), HEX('😀'), UPPER('straße'), 'ß' = 'ss', 'é' = 'e';
INSERT INTO customer (email, name) VALUES ('ю@пример.рф', '名前 😀');
SELECT email, name, HEX(name) FROM customer WHERE name = '名前 😀';
SELECT id FROM customer WHERE name LIKE '%😀%' ORDER BY id;
UPDATE customer SET name = _utf8mb4 0xF09F9880 WHERE email = 'ю@пример.рф';
SELECT name FROM customer WHERE email = 'ю@пример.рф';
CREATE TABLE `таблица 表` (`столбец` INT PRIMARY KEY, `列` VARCHAR(20) COMMENT '说明');
INSERT INTO `таблица 表` VALUES (1, 'значение');
SELECT `столбец`, `列` FROM `таблица 表`;
SELECT `таблица 表`.`列` AS `имя` FROM `commerce`.`таблица 表`;
SELECT таблица.email FROM customer таблица LIMIT 1;
SHOW CREATE TABLE `таблица 表`;
INSERT INTO `таблица 表` VALUES (1, 'x');
DROP TABLE `таблица 表`;
SELECT nosuch_столбец FROM customer;
-- Binary
-- @bytes
SELECT '\xff\xfe', HEX('\xff\xfe');
-- @bytes
SELECT _binary'\xff\xfe\x80', HEX(_binary'\xff\xfe\x80');
-- @bytes
INSERT INTO everything (id, vb, blb) VALUES (100, _binary'\xff\x80\x27', _binary'\xe2\x28\xa1');
-- @bytes
INSERT INTO everything (id, vb, blb) VALUES (101, _binary'\xff\x5c\x27\x3b', _binary'a;b');
SELECT id, vb, HEX(vb), blb FROM everything WHERE id >= 100;
-- @bytes
INSERT INTO customer (email) VALUES ('\xff\xfe@example.com');
-- @bytes
SELECT 'half a character \xf0\x9f\x98';
SELECT X'4D7953514C', x'0a', 0x4D7953514C, 0xF, X'F';
SELECT b'01000001', B'1', 0b01, 0B01;
SELECT 0xG;
SELECT X'0G';
SELECT 0b2;
SELECT _latin1'\xe9', _utf8mb4'é', _utf16 0x0041, _ucs2'ab', _nosuch'x';
SELECT _latin1 X'E9' COLLATE latin1_german1_ci, CONVERT(_latin1 X'E9' USING utf8mb4);
SELECT 'a' COLLATE utf8mb4_bin = 'A', 'a' COLLATE latin1_bin;
SELECT CONCAT('a', _binary'b'), CONCAT(_latin1'a', 'b');
-- latin1 connections: the same bytes mean other characters
SET NAMES latin1;
-- @bytes
SELECT '\xe9', HEX('\xe9'), LENGTH('\xe9'), CHAR_LENGTH('\xe9');
-- @bytes
INSERT INTO everything (id, latin, txt) VALUES (110, 'caf\xe9', '\xfc;\x27\x27');
SELECT latin, txt FROM everything WHERE id = 110;
-- @bytes
SELECT latin AS `\xe9` FROM everything WHERE latin = 'caf\xe9' ORDER BY id;
SELECT name FROM customer WHERE id = 3;
SET NAMES utf8mb4;
SELECT latin, txt, HEX(txt) FROM everything WHERE id = 110;
-- Character sets whose second bytes look like ASCII
-- @refused 1235 character set sjis cannot be read safely
SET NAMES sjis;
-- @bytes
SELECT HEX('\x83\x5c'), LENGTH('\x83\x5c');
-- The statements of a text are sent one by one, so that what stands behind a fault is not in the message
-- @messages
-- @bytes
SELECT HEX('\x95\x5c'';');
-- @text
-- @messages
SELECT (1; SELECT 2;
-- @refused 1235 character set gbk cannot be read safely
SET NAMES gbk;
-- @bytes
SELECT HEX('\xbf\x5c'), HEX('\xbf\x5c''');
-- @bytes
SELECT '\xd6\xd0\xce\xc4', HEX('\xd6\xd0\xce\xc4');
-- @refused 1235 character set big5 cannot be read safely
SET NAMES big5;
-- @bytes
SELECT HEX('\xa5\x5c');
-- @refused 1235 character set cp932 cannot be read safely
SET NAMES cp932;
-- @bytes
SELECT HEX('\x8f\x5c'), 1;
-- @refused 1235 character set gb18030 cannot be read safely
SET NAMES gb18030;
-- @bytes
SELECT HEX('\x81\x30\x81\x30'), 2;
SET NAMES eucjpms;
-- @bytes
SELECT HEX('\xa4\xa2');
SET NAMES utf8mb4;
SET character_set_results = latin1;
SELECT name FROM customer WHERE id IN (1, 3) ORDER BY id;
SELECT 'é';
SET character_set_results = utf16;
SELECT 'abc' AS x;
SET character_set_results = NULL;
SELECT latin FROM everything WHERE id = 1;
SET NAMES binary;
-- @bytes
SELECT '\xff\x00', latin FROM everything WHERE id = 1;
SET NAMES utf8mb4;
-- @bytes
SET @b = '\xff';
-- @bytes
SELECT 1 AS `\xff`;
-- @bytes
SELECT * FROM `\xff`;
