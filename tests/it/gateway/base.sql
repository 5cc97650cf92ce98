CREATE TABLE customer (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, email VARCHAR(128) NOT NULL, name VARCHAR(64) CHARACTER SET utf8mb4,
  born DATE, made TIMESTAMP NOT NULL DEFAULT '2024-01-01 00:00:00', UNIQUE KEY email (email), KEY name (name));
INSERT INTO customer (email, name, born) VALUES
  ('alice@example.com', 'Alice', '1980-02-29'), ('bob@example.com', 'Bob', '1990-12-31'),
  ('charlie@example.com', 'Чарли', NULL), ('dan@example.com', NULL, '2000-01-01'), ('eve@example.com', '伊芙 😀', '1970-01-01');
CREATE TABLE product (sku VARCHAR(32) NOT NULL PRIMARY KEY, description VARCHAR(255), price DECIMAL(10,2) NOT NULL, stock INT NOT NULL DEFAULT 0);
INSERT INTO product VALUES ('SKU-1001', 'Monitor', 100.50, 7), ('SKU-1002', 'Keyboard', 30.00, 0), ('SKU-1003', 'O''Reilly "book"', 9.99, 100);
CREATE TABLE corder (
  order_id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, customer_id BIGINT NOT NULL, sku VARCHAR(32), price DECIMAL(10,2),
  KEY customer_id (customer_id), CONSTRAINT of_customer FOREIGN KEY (customer_id) REFERENCES customer (id));
INSERT INTO corder (customer_id, sku, price) VALUES (1, 'SKU-1001', 100.50), (1, 'SKU-1002', 30.00), (2, 'SKU-1001', 99.00), (4, 'SKU-1003', 9.99);
CREATE TABLE everything (
  id INT UNSIGNED NOT NULL PRIMARY KEY, tiny TINYINT, small SMALLINT UNSIGNED, medium MEDIUMINT, big BIGINT UNSIGNED, bits BIT(10),
  f FLOAT, d DOUBLE, dec_ DECIMAL(20,6), dt DATETIME(6), ts TIMESTAMP(3) NULL, t TIME(2), y YEAR, c CHAR(5), vb VARBINARY(16), b BINARY(4),
  txt MEDIUMTEXT, blb LONGBLOB, e ENUM('red','green','blue'), s SET('a','b','c'), j JSON, g POINT, latin VARCHAR(20) CHARACTER SET latin1, flag BOOLEAN);
INSERT INTO everything VALUES
  (1, -128, 65535, -8388608, 18446744073709551615, b'1010101010', 1.5, -2.5e300, 12345678901234.567891, '2024-02-29 23:59:59.999999',
   '2024-06-01 12:00:00.123', '-838:59:59.00', 1901, 'abc', X'00FF10', 'ab', 'long text', X'DEADBEEF', 'green', 'a,c', '{"k": [1, 2.5, null, "x"]}',
   ST_GeomFromText('POINT(1 2)'), 'café', TRUE),
  (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (3, 0, 0, 0, 0, b'0', 0, -0e0, 0, '1000-01-01 00:00:00', '1970-01-01 00:00:01', '00:00:00', 2155, '', '', '', '', '', 'red', '', '[]',
   ST_GeomFromText('POINT(0 0)'), '', FALSE);
CREATE TABLE empty_table (id INT NOT NULL PRIMARY KEY, v INT);
CREATE TABLE `odd name` (`a b` INT NOT NULL PRIMARY KEY, `select` VARCHAR(10), `q``uote` INT, `ünï` INT);
INSERT INTO `odd name` VALUES (1, 'x', 2, 3);
CREATE TABLE numbers (n INT NOT NULL PRIMARY KEY, square INT NOT NULL);
INSERT INTO numbers WITH RECURSIVE up (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < 100) SELECT n, n * n FROM up;
ANALYZE TABLE customer, product, corder, everything, empty_table, `odd name`, numbers;
