SELECT 'customer' AS what, COUNT(*) AS total FROM customer;
SELECT 'corder' AS what, COUNT(*) AS total FROM corder;
SELECT 'product' AS what, COUNT(*) AS total FROM product;
