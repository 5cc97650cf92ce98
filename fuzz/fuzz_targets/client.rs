//! Packets of any bytes from a client: the answer to the greeting, COM_CHANGE_USER, the types of prepared statements'
//! parameters, and every other command.
//!
//! The first five bytes are the capabilities agreed on and the kind of packet.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use mysql_common::constants::CapabilityFlags;
use shardlift::gateway::client::{Command, response};
use shardlift::gateway::session::parameters::complete;
use shardlift::mysql::wire::frame::Decoder;

fuzz_target!(|input: &[u8]| {
    let Some((&[a, b, c, d, kind], packet)) = input.split_first_chunk() else { return };
    let capabilities = CapabilityFlags::from_bits_truncate(u32::from_le_bytes([a, b, c, d]));
    match kind % 4 {
        0 => drop(response::first(packet)),
        1 => drop(response::change_user(packet, capabilities)),
        2 => {
            let mut decoder = Decoder::new(1 << 16);
            decoder.buffer().extend_from_slice(packet);
            while decoder.advance().is_ok_and(|more| more) {
                command(decoder.take(), capabilities, kind);
                decoder.expect(0);
            }
        }
        _ => command(Bytes::copy_from_slice(packet), capabilities, kind),
    }
});

fn command(packet: Bytes, capabilities: CapabilityFlags, kind: u8) {
    match Command::parse(packet.clone(), capabilities) {
        Command::Query { attributes, sql } => assert_eq!([&attributes[..], &sql[..]].concat(), &packet[1..]),
        Command::StmtExecute { flags, rest, .. } => {
            let attributes = capabilities.contains(CapabilityFlags::CLIENT_QUERY_ATTRIBUTES);
            let mut known = None;
            let parameters = u16::from(kind) / 4;
            let once = complete(flags, &rest, parameters, attributes, &mut known);
            // The types that were found there fit where they are left out.
            if once == Ok(None) && known.is_some() {
                assert_eq!(complete(flags, &rest, parameters, attributes, &mut known), Ok(None));
            }
        }
        _ => {}
    }
}
