//! Packets of any bytes from a client: the answer to the greeting, COM_CHANGE_USER and every other command.
//!
//! The first five bytes are the capabilities agreed on and the kind of packet.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use mysql_common::constants::CapabilityFlags;
use shardlift::gateway::client::{Command, response};

fuzz_target!(|input: &[u8]| {
    let Some((&[a, b, c, d, kind], packet)) = input.split_first_chunk() else { return };
    let capabilities = CapabilityFlags::from_bits_truncate(u32::from_le_bytes([a, b, c, d]));
    match kind % 3 {
        0 => drop(response::first(packet)),
        1 => drop(response::change_user(packet, capabilities)),
        _ => {
            if let Command::Query { attributes, sql } = Command::parse(Bytes::copy_from_slice(packet), capabilities) {
                assert_eq!([&attributes[..], &sql[..]].concat(), &packet[1..]);
            }
        }
    }
});
