CREATE TABLE IF NOT EXISTS product (
    sku VARBINARY(128) NOT NULL,
    description VARBINARY(128),
    price BIGINT NOT NULL,
    PRIMARY KEY (sku)
);

CREATE TABLE IF NOT EXISTS customer (
    customer_id BIGINT NOT NULL AUTO_INCREMENT,
    email VARBINARY(128) NOT NULL,
    orders BIGINT NOT NULL DEFAULT 0,
    spent BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (customer_id)
);

CREATE TABLE IF NOT EXISTS corder (
    order_id BIGINT NOT NULL AUTO_INCREMENT,
    customer_id BIGINT NOT NULL,
    sku VARBINARY(128) NOT NULL,
    price BIGINT NOT NULL,
    token VARBINARY(64) NOT NULL,
    PRIMARY KEY (order_id),
    KEY (customer_id),
    KEY (token)
);
