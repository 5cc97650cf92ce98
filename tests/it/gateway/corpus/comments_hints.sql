-- Comments of every kind, optimizer hints, odd blanks.
/* before */ SELECT 1;
SELECT /* inside */ 1;
SELECT 1 /* after */;
SELECT 1 -- to the end
;
SELECT 1 # to the end
;
-- @block
# first a comment; with a semicolon
SELECT 1
-- @end
-- @block
-- first a comment; with a semicolon
SELECT 1
-- @end
-- @block
SELECT 1 --
-- @end
-- @block
SELECT 1 --	after a tab
-- @end
SELECT 1--1;
SELECT 5 --1;
SELECT/**/1;
SELECT 1/**/+/**/1;
SELECT '/* no comment */', "-- nor this", '# nor this';
SELECT `email`/*c*/FROM/*c*/`customer`/*c*/WHERE/*c*/id=1;
SELECT /* nested /* not really */ 1;
SELECT /*! 1 */;
SELECT /*!50000 1 + */ 1;
SELECT /*!99999 1 + */ 1;
SELECT /*!100000 1 + */ 1;
SELECT /*!080000 2 + */ 1;
/*!50000 SELECT */ 7;
SELECT /*!50000 email FROM customer */ WHERE id = 1;
SELECT 1 /*!50000 FROM customer WHERE id = 1 */;
/*!40101 SET NAMES utf8mb4 */;
/*!50000 SELECT 'a;b' */;
SELECT /*+ MAX_EXECUTION_TIME(1000) */ COUNT(*) FROM customer;
SELECT /*+ NO_INDEX_MERGE(customer) SET_VAR(sort_buffer_size = 65536) */ COUNT(*) FROM customer;
SELECT /*+ SET_VAR(max_execution_time = 5000) SET_VAR(sql_mode = '') */ @@max_execution_time, @@sql_mode;
SELECT /*+ NOSUCH(customer) */ 1;
SELECT /*+ BKA(c) NO_BNL(o) JOIN_ORDER(o, c) QB_NAME(qb1) */ COUNT(*) FROM customer c JOIN corder o ON c.id = o.customer_id;
INSERT /*+ SET_VAR(foreign_key_checks = OFF) */ INTO empty_table VALUES (1, 1);
UPDATE /*+ NO_MERGE(empty_table) */ empty_table SET v = 2;
DELETE /*+ MAX_EXECUTION_TIME(1000) */ FROM empty_table;
REPLACE /*+ x */ INTO empty_table VALUES (1, 1);
/*+ not a hint here */ SELECT 1;
SELECT /*vt+ SCATTER_ERRORS_AS_WARNINGS */ 1;
/* ApplicationName=x, traceparent='00-0123' */ SELECT 1;
SELECT 1 /* sqlcommenter: controller='x',route='%2Fy' */;
SELECT

   1

;
	SELECT	1	;
SELECT(1);
SELECT@@autocommit;
SELECT+1;
SELECT-1;
SELECT'a';
SELECT"a";
SELECT`id`FROM`customer`WHERE`id`=1;
SELECT.5;
SELECT*FROM customer WHERE id=1;
SELECT 1.e5, .5e1, 1., 1e;
SELECT 1e5x;
SELECT 1x FROM customer;
select customer.id from customer where(id)in(1,2)order by(id);
sElEcT CuStOmEr.Id FrOm customer WhErE iD = 1;
SELECT id FROM CUSTOMER WHERE id = 1;
SELECT id FROM customer AS `from` WHERE `from`.id = 1;
SELECT commerce . customer . id FROM commerce . customer LIMIT 1;
SELECT commerce.`customer`.id FROM `commerce`.customer LIMIT 1;
SELECT /* commerce.nosuch */ COUNT(*) FROM /* nosuch. */ customer;
SELECT count (*) FROM customer;
SELECT COUNT(*) FROM customer;
SELECT now () IS NOT NULL;
SELECT 1 AS `a``b`, 2 AS "c""d", 3 AS 'e''f';
SELECT 1 FROM customer WHERE 1 = 0 OR /* ; */ id = 1;
SELECT 1 /* unterminated;
*/ ;
-- @block
SELECT 1 /* unterminated
-- @end
-- @block
/* only a comment */
-- @end
-- @block
;
-- @end
-- @block

-- @end
-- @block
  
-- @end
-- @bytes
SELECT\x0b1\x0c+\x0d\x0a1;
-- @bytes
SELECT 1\x00;
-- @bytes
SELECT\xa01;
-- @bytes
SELECT 'a\x00b', 'a\x1ab';
