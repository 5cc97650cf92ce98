-- SET in every form, and that it lasts.
SET @@sql_mode = 'ANSI';
SELECT @@sql_mode;
SET sql_mode = '';
SELECT @@SESSION.sql_mode;
SET SESSION sql_mode = 'TRADITIONAL';
SELECT @@session.sql_mode;
SET LOCAL sql_mode = DEFAULT;
SELECT @@local.sql_mode;
SET @@session.sql_mode = @@global.sql_mode;
SET @@local.sql_mode := CONCAT(@@sql_mode, ',PIPES_AS_CONCAT');
SELECT @@sql_mode, 'a' || 'b';
SET sql_mode = (SELECT REPLACE(@@sql_mode, 'PIPES_AS_CONCAT', ''));
SELECT @@sql_mode;
SET sql_mode = 'NO_SUCH_MODE';
SET sql_mode = 4;
SELECT @@sql_mode;
SET sql_mode = DEFAULT;
SET NAMES latin1;
SELECT @@character_set_client, @@character_set_connection, @@character_set_results, @@collation_connection;
SET NAMES 'utf8mb4';
SET NAMES "utf8mb4";
SET NAMES utf8mb4 COLLATE 'utf8mb4_bin';
SELECT @@collation_connection, 'a' = 'A';
SET NAMES binary;
SELECT @@character_set_client, @@character_set_results, 'a';
SET NAMES DEFAULT;
SELECT @@character_set_client, @@collation_connection;
SET NAMES nosuch;
SET NAMES utf8mb4 COLLATE latin1_bin;
SET NAMES utf8mb3;
-- @text
-- @refused 1235 character set ucs2 cannot be read safely
SET NAMES ucs2;
SET CHARACTER SET latin1;
SELECT @@character_set_client, @@character_set_connection, @@character_set_results;
SET CHARSET utf8mb4;
SET CHARACTER SET DEFAULT;
SET character_set_client = latin1;
SET character_set_connection = utf8mb4;
SET character_set_results = NULL;
SELECT @@character_set_client, @@character_set_connection, @@character_set_results, @@collation_connection;
SET collation_connection = utf8mb4_unicode_ci;
SELECT @@collation_connection, @@character_set_connection;
SET collation_database = utf8mb4_bin;
SET character_set_database = latin1;
SET NAMES utf8mb4;
SET time_zone = '+05:30';
SELECT @@time_zone, FROM_UNIXTIME(0);
SET TIME_ZONE = "-08:00";
SELECT FROM_UNIXTIME(0);
SET time_zone = 'nowhere/at all';
SET time_zone = SYSTEM;
SET timestamp = 1700000000;
SELECT NOW(), UNIX_TIMESTAMP(), @@timestamp;
SET timestamp = 1700000000.123456;
SELECT NOW(6);
SET timestamp = DEFAULT;
SET timestamp = 0;
SET SESSION wait_timeout = 100, SESSION interactive_timeout = 200, @@net_read_timeout = 50;
SELECT @@wait_timeout, @@interactive_timeout, @@net_read_timeout;
SET group_concat_max_len = 10;
SELECT GROUP_CONCAT(email ORDER BY id) FROM customer;
SET group_concat_max_len = 18446744073709551615;
SELECT @@group_concat_max_len;
SET group_concat_max_len = DEFAULT;
SET group_concat_max_len = 'abc';
SET group_concat_max_len = 1;
SET max_join_size = 1;
SELECT COUNT(*) FROM customer a JOIN customer b;
SET max_join_size = DEFAULT;
SET sql_big_selects = 1;
SET div_precision_increment = 10;
SELECT 1/3;
SET div_precision_increment = 4;
SET lc_time_names = 'de_DE';
SELECT DATE_FORMAT('2024-05-06', '%W %M');
SET lc_messages = 'de_DE';
SELECT nosuch;
SET lc_messages = 'en_US';
SET lc_time_names = 'en_US';
SET default_week_format = 3;
SELECT WEEK('2024-01-01');
SET optimizer_switch = 'index_merge=off';
SELECT @@optimizer_switch LIKE '%index_merge=off%';
SET optimizer_switch = DEFAULT;
SET max_execution_time = 1000;
SELECT @@max_execution_time;
SET max_execution_time = 0;
SET foreign_key_checks = OFF, unique_checks = OFF;
SELECT @@foreign_key_checks, @@unique_checks;
SET foreign_key_checks = ON, unique_checks = TRUE;
SET sql_notes = 0;
DROP TABLE IF EXISTS nosuch;
SET sql_notes = 1;
DROP TABLE IF EXISTS nosuch;
SET max_error_count = 0;
DROP TABLE IF EXISTS nosuch;
SET max_error_count = DEFAULT;
SET sql_warnings = 1;
SET default_storage_engine = MyISAM;
CREATE TABLE of_another_engine (id INT);
SHOW CREATE TABLE of_another_engine;
SET default_storage_engine = InnoDB;
SET sql_require_primary_key = ON;
CREATE TABLE without_key (id INT);
SET sql_require_primary_key = OFF;
SET explicit_defaults_for_timestamp = 0;
SET character_set_filesystem = utf8mb4;
SET rand_seed1 = 10, rand_seed2 = 20;
SELECT RAND();
SET profiling = 0;
SET cte_max_recursion_depth = 3;
WITH RECURSIVE up (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < 10) SELECT n FROM up;
SET cte_max_recursion_depth = DEFAULT;
SET tmp_table_size = 1048576, max_heap_table_size = 1048576;
SELECT @@tmp_table_size, @@max_heap_table_size;
SET sort_buffer_size = 65536;
SELECT @@sort_buffer_size;
SET end_markers_in_json = ON;
SET windowing_use_high_precision = OFF;
SET show_create_table_verbosity = ON;
SHOW CREATE TABLE empty_table;
SET print_identified_with_as_hex = ON;
SET session_track_gtids = OFF;
-- @refused 1235 which uses it itself
SET session_track_schema = OFF;
USE commerce;
-- @refused 1235 which uses it itself
SET session_track_schema = ON;
USE commerce;
-- @refused 1235 which uses it itself
SET session_track_state_change = ON;
SET @x = 1;
-- @refused 1235 which uses it itself
SET session_track_state_change = OFF;
-- What may not be set, or not so
SET nosuch = 1;
SET @@session.nosuch = 1;
SET autocommit = 5;
SET version = '1';
SET SESSION max_connections = 10;
SET GLOBAL sql_mode = '';
SET PERSIST max_connections = 10;
SET PERSIST_ONLY max_connections = 10;
SET GLOBAL max_connections = 10;
SET sql_log_bin = 0;
SET sql_mode;
SET;
SET sql_mode = 'ANSI', nosuch = 1;
SELECT @@sql_mode;
SELECT @@nosuch;
SELECT @@global.autocommit, @@global.sql_mode = @@session.sql_mode;
SHOW VARIABLES LIKE 'time_zone';
SHOW SESSION VARIABLES WHERE Variable_name = 'autocommit';
SHOW LOCAL VARIABLES LIKE 'div\_precision%';
SHOW GLOBAL VARIABLES LIKE 'autocommit';
-- @volatile
SHOW STATUS LIKE 'Threads_connected';
-- @volatile
SHOW SESSION STATUS LIKE 'Com_select';
SET PASSWORD = 'x' RETAIN CURRENT PASSWORD REPLACE 'y';
SET ROLE NONE;
SET DEFAULT ROLE NONE TO app;
SET ROLE nosuch;
-- @refused 1235 acts on one server
SET RESOURCE GROUP nosuch;
-- Several sessions keep their own
SET time_zone = '+01:00';
-- @session b
SET time_zone = '+02:00';
SELECT @@time_zone;
-- @session b
SELECT @@time_zone;
-- @session c
SELECT @@time_zone;
SELECT @@time_zone;
-- @session b
SET NAMES latin1;
-- @session c
SELECT @@character_set_client;
SELECT @@character_set_client;
-- @session b
SELECT @@character_set_client;
