//! Packets of any bytes from a server, as far as they are read: frames, OK and what it reports, ERR, EOF, columns' count.
//!
//! The first five bytes are the capabilities agreed on and the kind of packet.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mysql_common::constants::CapabilityFlags;
use shardlift::mysql::wire::frame::Decoder;
use shardlift::mysql::wire::ok::{self, OkPacket};
use shardlift::mysql::wire::reply;

fuzz_target!(|input: &[u8]| {
    let Some((&[a, b, c, d, kind], packet)) = input.split_first_chunk() else { return };
    let capabilities = CapabilityFlags::from_bits_truncate(u32::from_le_bytes([a, b, c, d]));
    match kind % 4 {
        0 => drop(reply::answer(packet, capabilities)),
        1 => drop(reply::row_packet(packet, capabilities)),
        2 => {
            let tracks = capabilities.contains(CapabilityFlags::CLIENT_SESSION_TRACK);
            let Ok(read) = OkPacket::parse(packet, tracks) else { return };
            for (_, data) in ok::changes(read.changes).unwrap_or_default() {
                let _ = ok::variables(data);
            }
            let mut again = Vec::new();
            read.encode(&mut again, tracks);
            assert_eq!(OkPacket::parse(&again, tracks).map(|ok| ok.affected_rows), Ok(read.affected_rows));
        }
        _ => {
            let mut decoder = Decoder::new(1 << 16);
            decoder.buffer().extend_from_slice(packet);
            while decoder.advance().is_ok_and(|more| more) {}
        }
    }
});
