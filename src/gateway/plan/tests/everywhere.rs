//! Reference tables: what is written is to be the same on every shard.

use super::*;

#[test]
fn copies_of_a_reference_table_stay_the_same() {
    let world = World::new();
    world.refuses(
        "would be written on some",
        &[
            "UPDATE customer c JOIN country k ON k.code = c.age SET k.label = 'x' WHERE c.id = 3",
            "UPDATE customer c JOIN country k ON k.code = c.age SET label = 'x', c.age = 1 WHERE c.id = 3",
            "UPDATE country SET label = (SELECT name FROM customer WHERE id = 3)",
            "DELETE k FROM customer c JOIN country k ON k.code = c.age WHERE c.id = 3",
        ],
    );
    world.refuses(
        "may be a column of country",
        &["UPDATE customer c JOIN country k ON k.code = c.age SET z.label = 'x' WHERE c.id = 3"],
    );
    world.refuses(
        "LIMIT may take other rows",
        &["UPDATE country SET label = 'x' LIMIT 1", "DELETE FROM country ORDER BY label LIMIT 1"],
    );
    world.refuses(
        "may be something else on each shard",
        &[
            "UPDATE country SET label = UUID()",
            "UPDATE country SET label = rand (3)",
            "UPDATE country SET label = CURRENT_TIMESTAMP WHERE code = 1",
            "DELETE FROM country WHERE label < NOW(6)",
            "INSERT INTO country VALUES (1, UUID())",
            "INSERT INTO country (code, label) VALUES (1, 'x') ON DUPLICATE KEY UPDATE label = @@server_id",
            "REPLACE country SET code = 1, label = @x",
        ],
    );
    world.refuses("user variables", &["UPDATE country SET label = @x"]);
    world.refuses(
        "function f does cannot be seen",
        &["INSERT INTO country (code, label) VALUES (f(1), 'x')", "UPDATE country SET label = f(1)"],
    );
    for sql in [
        "UPDATE country SET label = CONCAT('uuid()', 'now()') WHERE code IN (1, 2)",
        "UPDATE country k JOIN country z ON (z.code = k.code) SET k.label = z.label",
        "DELETE FROM country WHERE code = 1",
        "INSERT INTO country (code, label) VALUES (1, UPPER('x')) AS new (a, b) ON DUPLICATE KEY UPDATE label = b",
    ] {
        assert_eq!(world.shards(sql), [0, 1, 2, 3], "{sql}");
    }
    let sql = "UPDATE customer c JOIN country k ON k.code = c.age SET c.name = k.label WHERE c.id = 3";
    assert_eq!(world.shards(sql), [1]);
}
