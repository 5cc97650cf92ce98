INSERT INTO customer (email) VALUES
    ('alice@example.com'), ('bob@example.com'), ('charlie@example.com'), ('dan@example.com'), ('eve@example.com');

INSERT INTO product (sku, description, price) VALUES ('SKU-1001', 'Monitor', 100), ('SKU-1002', 'Keyboard', 30);

INSERT INTO corder (customer_id, sku, price) VALUES
    (1, 'SKU-1001', 100), (2, 'SKU-1002', 30), (3, 'SKU-1002', 30), (4, 'SKU-1002', 30), (5, 'SKU-1002', 30);
