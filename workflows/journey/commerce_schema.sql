-- A shop that fits one server: what is sold, who buys, and what was bought.
CREATE TABLE product (
    sku VARBINARY(128) NOT NULL,
    description VARBINARY(128),
    price BIGINT,
    PRIMARY KEY (sku)
) ENGINE = InnoDB;

CREATE TABLE customer (
    customer_id BIGINT NOT NULL AUTO_INCREMENT,
    email VARBINARY(128),
    PRIMARY KEY (customer_id)
) ENGINE = InnoDB;

CREATE TABLE corder (
    order_id BIGINT NOT NULL AUTO_INCREMENT,
    customer_id BIGINT,
    sku VARBINARY(128),
    price BIGINT,
    PRIMARY KEY (order_id)
) ENGINE = InnoDB;
