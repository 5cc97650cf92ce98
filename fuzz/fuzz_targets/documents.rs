//! Texts of any kind where people write VSchemas, routing rules, targets, key ranges, GTID sets and passwords' hashes; what
//! is understood reads the same when it is written out again.

#![no_main]

use std::fmt::{Debug, Display};
use std::str::FromStr;

use libfuzzer_sys::fuzz_target;
use shardlift::gateway::client::password::PasswordHash;
use shardlift::model::fence::FenceTrigger;
use shardlift::model::{Gtid, GtidSet, KeyRange};
use shardlift::sharding::vschema::{self, KeyspaceSchema, TableRef};
use shardlift::sharding::{Target, rules};

fuzz_target!(|input: &[u8]| {
    let Some((kind, bytes)) = input.split_first() else { return };
    let _ = PasswordHash::parse(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match kind % 8 {
        0 => {
            let Ok(read) = vschema::parse(text) else { return };
            let _ = KeyspaceSchema::new(&read);
            assert_eq!(vschema::plan(&read, &read), []);
            for compact in [false, true] {
                let again = vschema::print(&read, compact).unwrap();
                assert_eq!(vschema::parse(&again).as_ref(), Ok(&read), "{again}");
            }
        }
        1 => {
            if let Ok(set) = rules::parse(text) {
                let _ = rules::check(&set);
            }
        }
        2 => same::<Target>(text),
        3 => same::<KeyRange>(text),
        4 => same::<Gtid>(text),
        5 => same::<TableRef>(text),
        6 => drop(FenceTrigger::from_str(text)),
        _ => same::<GtidSet>(text),
    }
});

fn same<T: FromStr<Err: Debug> + Display + PartialEq + Debug>(text: &str) {
    let Ok(read) = T::from_str(text) else { return };
    let again = read.to_string();
    assert_eq!(T::from_str(&again).unwrap(), read, "{again}");
}
