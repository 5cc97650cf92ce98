-- What drivers and frameworks say when they connect, before the application says anything.

-- PyMySQL
SET NAMES utf8mb4;
SET NAMES utf8mb4 COLLATE utf8mb4_unicode_ci;
SET AUTOCOMMIT = 0;
SET AUTOCOMMIT = 1;
SHOW WARNINGS;
SHOW ERRORS;

-- MySQL Connector/J
/* mysql-connector-j-9.4.0 (Revision: 0123456789abcdef) */SELECT  @@session.auto_increment_increment AS auto_increment_increment, @@character_set_client AS character_set_client, @@character_set_connection AS character_set_connection, @@character_set_results AS character_set_results, @@character_set_server AS character_set_server, @@collation_server AS collation_server, @@collation_connection AS collation_connection, @@init_connect AS init_connect, @@interactive_timeout AS interactive_timeout, @@license AS license, @@lower_case_table_names AS lower_case_table_names, @@max_allowed_packet AS max_allowed_packet, @@net_write_timeout AS net_write_timeout, @@performance_schema AS performance_schema, @@sql_mode AS sql_mode, @@system_time_zone AS system_time_zone, @@time_zone AS time_zone, @@transaction_isolation AS transaction_isolation, @@wait_timeout AS wait_timeout;
SET character_set_results = NULL;
SELECT @@character_set_results;
SET character_set_results = utf8mb4;
SET autocommit=1;
SET sql_mode='STRICT_TRANS_TABLES';
select @@session.transaction_read_only;
SELECT @@session.transaction_isolation;
SET SESSION TRANSACTION READ ONLY;
select @@session.transaction_read_only;
SET SESSION TRANSACTION READ WRITE;
SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;
SELECT @@session.transaction_isolation;
SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ;
/* ping */ SELECT 1;
SHOW FULL TABLES FROM `commerce` LIKE '%';
SHOW FULL COLUMNS FROM `customer` FROM `commerce` LIKE '%';
SHOW KEYS FROM `customer` FROM `commerce`;
SHOW CREATE TABLE `commerce`.`corder`;
SHOW COLLATION WHERE Charset = 'latin1';
SHOW ENGINES;
SELECT DATABASE();
-- @plan
SELECT TABLE_SCHEMA AS TABLE_CAT, NULL AS TABLE_SCHEM, TABLE_NAME, CASE WHEN TABLE_TYPE='BASE TABLE' THEN CASE WHEN TABLE_SCHEMA = 'mysql' OR TABLE_SCHEMA = 'performance_schema' THEN 'SYSTEM TABLE' ELSE 'TABLE' END WHEN TABLE_TYPE='TEMPORARY' THEN 'LOCAL_TEMPORARY' ELSE TABLE_TYPE END AS TABLE_TYPE, TABLE_COMMENT AS REMARKS, NULL AS TYPE_CAT, NULL AS TYPE_SCHEM, NULL AS TYPE_NAME, NULL AS SELF_REFERENCING_COL_NAME, NULL AS REF_GENERATION FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = 'commerce' HAVING TABLE_TYPE IN ('TABLE',null,null,null,null) ORDER BY TABLE_TYPE, TABLE_SCHEMA, TABLE_NAME;
-- @plan
SELECT A.COLUMN_NAME, A.ORDINAL_POSITION FROM INFORMATION_SCHEMA.KEY_COLUMN_USAGE A WHERE A.TABLE_SCHEMA = 'commerce' AND A.TABLE_NAME = 'corder' ORDER BY A.CONSTRAINT_NAME, A.ORDINAL_POSITION;
-- @plan
SELECT ROUTINE_SCHEMA AS PROCEDURE_CAT, ROUTINE_NAME AS PROCEDURE_NAME FROM INFORMATION_SCHEMA.ROUTINES WHERE ROUTINE_SCHEMA = 'commerce';
SELECT @@SESSION.auto_increment_increment, @@character_set_database, @@collation_database;

-- MySQL Connector/Python
SET NAMES 'utf8mb4' COLLATE 'utf8mb4_0900_ai_ci';
SET @@session.autocommit = OFF;
SELECT @@session.autocommit;
SET @@session.autocommit = ON;
SET @@session.time_zone = '+00:00';
SET @@session.sql_mode = 'ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION';
SELECT @@session.sql_mode;
SET SESSION idle_in_transaction_timeout = 5;
SHOW VARIABLES LIKE 'lower_case_table_names';

-- mysql2, Sequelize, TypeORM, knex, Prisma
SELECT VERSION() AS `version`;
SELECT 1+1 AS result;
SELECT @@max_allowed_packet;
SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED;
SET time_zone = '+02:00';
SELECT DATABASE() AS `db_name`;
-- @plan
SELECT * FROM `INFORMATION_SCHEMA`.`COLUMNS` WHERE `TABLE_SCHEMA` = 'commerce' AND `TABLE_NAME` = 'customer' ORDER BY ORDINAL_POSITION;
-- @plan
SELECT `s`.`TABLE_NAME`, `s`.`INDEX_NAME` FROM `INFORMATION_SCHEMA`.`STATISTICS` `s` WHERE `s`.`TABLE_SCHEMA` = 'commerce' AND `s`.`INDEX_NAME` != 'PRIMARY' ORDER BY 1, 2;
-- @plan
SELECT TABLE_NAME AS table_name FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA = 'commerce' ORDER BY table_name;
-- @plan
SELECT CONSTRAINT_NAME as constraint_name,CONSTRAINT_NAME as constraintName FROM INFORMATION_SCHEMA.KEY_COLUMN_USAGE where TABLE_NAME = 'corder' AND CONSTRAINT_NAME!='PRIMARY' AND CONSTRAINT_SCHEMA='commerce' AND REFERENCED_TABLE_NAME IS NOT NULL;
-- @plan
SELECT EXISTS (SELECT 1 FROM information_schema.tables WHERE table_schema = 'commerce' AND table_name = '_prisma_migrations');
SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ;

-- go-sql-driver
SELECT @@max_allowed_packet;
SET time_zone = '%2B00%3A00';
SET time_zone = 'SYSTEM';
START TRANSACTION READ ONLY;
ROLLBACK;
SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;
START TRANSACTION;
COMMIT;

-- PHP: PDO, mysqli, Laravel, WordPress
use `commerce`;
set names 'utf8mb4' collate 'utf8mb4_unicode_ci';
SET NAMES utf8mb4, SESSION sql_mode='ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION';
set session sql_mode='NO_ENGINE_SUBSTITUTION';
-- @plan
select table_name as `name`, (data_length + index_length) >= 0 as `size`, table_comment as `comment`, engine as `engine`, table_collation as `collation` from information_schema.tables where table_schema = 'commerce' and table_type in ('BASE TABLE', 'SYSTEM VERSIONED') order by table_name;
SELECT @@SESSION.sql_mode;
SET NAMES 'utf8mb4' COLLATE 'utf8mb4_unicode_520_ci';
SET SESSION sql_mode='ERROR_FOR_DIVISION_BY_ZERO';
SHOW TABLES LIKE 'customer';
SHOW FULL COLUMNS FROM `customer`;
-- @quiet
SELECT SQL_CALC_FOUND_ROWS id FROM customer ORDER BY id LIMIT 0, 2;
SELECT FOUND_ROWS();
DESCRIBE `customer`;

-- .NET: Connector/NET and MySqlConnector
SHOW VARIABLES WHERE Variable_name IN ('character_set_client', 'max_allowed_packet', 'lower_case_table_names', 'sql_mode', 'time_zone');
-- @volatile
SELECT TIMEDIFF(NOW(), UTC_TIMESTAMP());
SET character_set_results=NULL;
SET NAMES utf8mb4;
SELECT @@sql_mode, @@version_comment;
-- @volatile
SELECT CONNECTION_ID(), VERSION();
DO SLEEP(0);

-- Rails
SET NAMES utf8mb4,  @@SESSION.sql_mode = CONCAT(CONCAT(@@sql_mode, ',STRICT_ALL_TABLES'), ',NO_AUTO_VALUE_ON_ZERO'),  @@SESSION.sql_auto_is_null = 0, @@SESSION.wait_timeout = 2147483;
SELECT @@sql_mode, @@sql_auto_is_null, @@wait_timeout;
SHOW FULL FIELDS FROM `customer`;
SHOW CREATE TABLE `customer`;
SHOW KEYS FROM `corder`;
SHOW MAX_ROWS;
SELECT GET_LOCK('4519877301', 0);
SELECT RELEASE_LOCK('4519877301');
-- @plan
SELECT column_name FROM information_schema.statistics WHERE index_name = 'PRIMARY' AND table_schema = database() AND table_name = 'customer' ORDER BY seq_in_index;
-- @plan
SELECT fk.referenced_table_name AS 'to_table', fk.referenced_column_name AS 'primary_key', fk.column_name AS 'column', fk.constraint_name AS 'name', rc.update_rule AS 'on_update', rc.delete_rule AS 'on_delete' FROM information_schema.referential_constraints rc JOIN information_schema.key_column_usage fk USING (constraint_schema, constraint_name) WHERE fk.referenced_column_name IS NOT NULL AND fk.table_schema = database() AND fk.table_name = 'corder' AND rc.constraint_schema = database() AND rc.table_name = 'corder';
SELECT @@FOREIGN_KEY_CHECKS;
SET FOREIGN_KEY_CHECKS = 0;
SET FOREIGN_KEY_CHECKS = 1;
-- @plan
SELECT table_name FROM (SELECT * FROM information_schema.tables WHERE table_schema = database()) _subquery WHERE _subquery.table_type = 'BASE TABLE' ORDER BY 1;

-- Django
SELECT VERSION(), @@sql_mode, @@default_storage_engine, @@sql_auto_is_null, @@lower_case_table_names, CONVERT_TZ('2001-01-01 01:00:00', 'UTC', 'UTC') IS NOT NULL;
SET SQL_AUTO_IS_NULL = 0;
-- @plan
SELECT engine FROM information_schema.engines WHERE support = 'DEFAULT';
SHOW FULL TABLES;
SAVEPOINT `s140_x1`;
RELEASE SAVEPOINT `s140_x1`;
SELECT `customer`.`id`, `customer`.`email` FROM `customer` WHERE `customer`.`id` = 1 LIMIT 21;
-- @plan
SELECT kc.`constraint_name`, kc.`column_name` FROM information_schema.key_column_usage AS kc WHERE kc.table_schema = DATABASE() AND kc.table_name = 'corder' ORDER BY kc.`constraint_name`, kc.`ordinal_position`;

-- SQLAlchemy
SELECT @@transaction_isolation;
select @@version_comment limit 1;
SHOW VARIABLES LIKE 'sql_mode';
SELECT CAST('test plain returns' AS CHAR(60)) AS anon_1;
SELECT 'x' AS `some label`;
SHOW FULL TABLES FROM `commerce`;
EXPLAIN FORMAT=TRADITIONAL SELECT 1;
ROLLBACK;

-- The mysql command line
select @@version_comment limit 1;
select DATABASE(), USER() limit 1;
SELECT $$;
show tables;
select USER();
help 'no such topic at all';

-- mysqldump and the dumps it makes
/*!40100 SET @@SQL_MODE='' */;
/*!40103 SET TIME_ZONE='+00:00' */;
/*!80000 SET SESSION information_schema_stats_expiry=0 */;
SET SESSION NET_READ_TIMEOUT= 86400, SESSION NET_WRITE_TIMEOUT= 86400;
SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ;
START TRANSACTION /*!40100 WITH CONSISTENT SNAPSHOT */;
SHOW VARIABLES LIKE 'gtid\_mode';
-- @volatile
SELECT @@GLOBAL.GTID_EXECUTED;
SHOW CREATE DATABASE IF NOT EXISTS `commerce`;
SAVEPOINT sp;
show tables;
SET SQL_QUOTE_SHOW_CREATE=1;
SET SESSION character_set_results = 'binary';
show create table `customer`;
SET SESSION character_set_results = 'utf8mb4';
show fields from `customer`;
show fields from `odd name`;
SELECT /*!40001 SQL_NO_CACHE */ * FROM `customer`;
SET SESSION character_set_results = 'binary';
use `commerce`;
select @@collation_database;
SHOW TRIGGERS LIKE 'customer';
SET SESSION character_set_results = 'utf8mb4';
ROLLBACK TO SAVEPOINT sp;
RELEASE SAVEPOINT sp;
UNLOCK TABLES;
/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;
/*!40101 SET @OLD_CHARACTER_SET_RESULTS=@@CHARACTER_SET_RESULTS */;
/*!40101 SET @OLD_COLLATION_CONNECTION=@@COLLATION_CONNECTION */;
/*!50503 SET NAMES utf8mb4 */;
/*!40103 SET @OLD_TIME_ZONE=@@TIME_ZONE */;
/*!40014 SET @OLD_UNIQUE_CHECKS=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0 */;
/*!40014 SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */;
/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;
/*!40111 SET @OLD_SQL_NOTES=@@SQL_NOTES, SQL_NOTES=0 */;
DROP TABLE IF EXISTS `restored`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!50503 SET character_set_client = utf8mb4 */;
CREATE TABLE `restored` (
  `id` int NOT NULL AUTO_INCREMENT,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB AUTO_INCREMENT=7 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci;
/*!40101 SET character_set_client = @saved_cs_client */;
LOCK TABLES `restored` WRITE;
/*!40000 ALTER TABLE `restored` DISABLE KEYS */;
INSERT INTO `restored` VALUES (0),(1),(6);
/*!40000 ALTER TABLE `restored` ENABLE KEYS */;
UNLOCK TABLES;
/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;
/*!40101 SET SQL_MODE=@OLD_SQL_MODE */;
/*!40014 SET FOREIGN_KEY_CHECKS=@OLD_FOREIGN_KEY_CHECKS */;
/*!40014 SET UNIQUE_CHECKS=@OLD_UNIQUE_CHECKS */;
/*!40101 SET CHARACTER_SET_CLIENT=@OLD_CHARACTER_SET_CLIENT */;
/*!40101 SET CHARACTER_SET_RESULTS=@OLD_CHARACTER_SET_RESULTS */;
/*!40101 SET COLLATION_CONNECTION=@OLD_COLLATION_CONNECTION */;
/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */;
SELECT @@sql_mode, @@foreign_key_checks, @@unique_checks, @@sql_notes, @@time_zone, @@character_set_client, @@collation_connection;
SELECT * FROM restored;
