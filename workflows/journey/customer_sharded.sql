-- Numbers come from the sequences now: no server may make its own.
ALTER TABLE customer MODIFY customer_id BIGINT NOT NULL;
ALTER TABLE corder MODIFY order_id BIGINT NOT NULL;
