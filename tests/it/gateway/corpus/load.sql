-- LOAD DATA LOCAL: the file is the client's.
-- @file 1001,10|1002,20|1003,30
LOAD DATA LOCAL INFILE 'rows.csv' INTO TABLE empty_table FIELDS TERMINATED BY ',';
SELECT * FROM empty_table ORDER BY id;
-- @file 1001,10|1004,40
LOAD DATA LOCAL INFILE 'rows.csv' INTO TABLE empty_table FIELDS TERMINATED BY ',';
-- @file 1001,11|1005,50
LOAD DATA LOCAL INFILE 'rows.csv' REPLACE INTO TABLE commerce.empty_table FIELDS TERMINATED BY ',' (id, @v) SET v = @v * 2;
-- @file x,y|1006|1007,70,700
LOAD DATA LOCAL INFILE 'rows.csv' IGNORE INTO TABLE empty_table CHARACTER SET utf8mb4 FIELDS TERMINATED BY ',' ENCLOSED BY '"' LINES TERMINATED BY '\n';
-- @file header|1,"a ""quoted"" one"|2,'x'
LOAD DATA LOW_PRIORITY LOCAL INFILE 'rows.csv' INTO TABLE everything FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '"' ESCAPED BY '' IGNORE 1 LINES (id, txt);
SELECT * FROM empty_table ORDER BY id;
-- @file <row><id>2001</id><v>5</v></row>
LOAD XML LOCAL INFILE 'rows.xml' INTO TABLE empty_table ROWS IDENTIFIED BY '<row>';
SELECT * FROM empty_table WHERE id > 2000;
LOAD DATA LOCAL INFILE 'empty' INTO TABLE empty_table;
-- @file 1
LOAD DATA LOCAL INFILE 'rows.csv' INTO TABLE nosuch;
BEGIN;
-- @file 3001,1
LOAD DATA LOCAL INFILE 'rows.csv' INTO TABLE empty_table FIELDS TERMINATED BY ',';
ROLLBACK;
SELECT COUNT(*) FROM empty_table WHERE id = 3001;
