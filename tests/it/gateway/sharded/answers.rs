//! Answers that are easily made wrong of several shards', each beside that of one server.

use mysql_async::prelude::Queryable;

use super::world::{self, Outcome, World};

pub async fn of_several_shards(world: &World) {
    let mut through = world.through("wide").await;
    for sql in ["SELECT f(5)", "DO f(5)", "SET @x = f(5)"] {
        match world::ask(&mut through, sql, &[], false, false).await {
            Outcome::Error(1235, why) if why.contains("what a stored function does") => {}
            other => panic!("{sql}: {other}"),
        }
    }
    through.query_drop("SET @x = CONCAT('f(5)', NOW())").await.unwrap();
}
