//! Bytes of any kind from a server: frames, greeting, what a login asks for, OK and what it reports, ERR, EOF, rows, and whole
//! replies on their way to a client.
//!
//! The first five bytes are the capabilities agreed on and the kind of packet.

#![no_main]

use bytes::{Buf, BytesMut};
use libfuzzer_sys::fuzz_target;
use mysql_common::constants::{CapabilityFlags, StatusFlags};
use mysql_common::io::ParseBuf;
use mysql_common::packets::{AuthSwitchRequest, Column};
use shardlift::mysql::wire::ok::{self, OkPacket};
use shardlift::mysql::wire::relay::course::{Course, Verdict};
use shardlift::mysql::wire::relay::passage::{Cut, Passage};
use shardlift::mysql::wire::relay::{RelayOptions, ReplyKind, Tracking};
use shardlift::mysql::wire::{RawRow, auth, frame, reply};

fuzz_target!(|input: &[u8]| {
    let Some((&[a, b, c, d, kind], packet)) = input.split_first_chunk() else { return };
    let capabilities = CapabilityFlags::from_bits_truncate(u32::from_le_bytes([a, b, c, d]));
    match kind % 8 {
        0 => drop(reply::answer(packet, capabilities)),
        1 => drop(reply::row_packet(packet, capabilities)),
        2 => ok_packet(packet, capabilities.contains(CapabilityFlags::CLIENT_SESSION_TRACK)),
        3 => frames(packet),
        4 => login(packet),
        5 => {
            if let Some(row) = RawRow::parse(packet, usize::from(a)) {
                assert_eq!(row.values().count(), usize::from(a));
            }
            let _ = ParseBuf(packet).parse::<Column>(());
        }
        _ => relayed(packet, capabilities, kind),
    }
});

fn ok_packet(packet: &[u8], tracks: bool) {
    let Ok(read) = OkPacket::parse(packet, tracks) else { return };
    for (_, data) in ok::changes(read.changes).unwrap_or_default() {
        let _ = ok::variables(data);
    }
    let mut again = Vec::new();
    read.encode(&mut again, tracks);
    assert_eq!(OkPacket::parse(&again, tracks).map(|ok| ok.affected_rows), Ok(read.affected_rows));
}

fn frames(bytes: &[u8]) {
    let mut decoder = frame::Decoder::new(1 << 16);
    decoder.buffer().extend_from_slice(bytes);
    while decoder.advance().is_ok_and(|more| more) {}
}

fn login(packet: &[u8]) {
    if let Ok(greeting) = reply::greeting(packet) {
        let _ = (greeting.capabilities(), greeting.nonce(), greeting.auth_plugin(), greeting.server_version_str());
    }
    if let Ok(request) = ParseBuf(packet).parse::<AuthSwitchRequest<'_>>(()) {
        let _ = auth::proof(&request.auth_plugin().into_owned(), "secret", request.plugin_data());
    }
    let (nonce, key) = packet.split_at(packet.len().min(20));
    let _ = auth::encrypted("secret", nonce, key);
}

/// A reply in pieces, as [`shardlift::mysql::wire::Wire::relay`] passes it on.
fn relayed(bytes: &[u8], capabilities: CapabilityFlags, kind: u8) {
    let kind = match kind / 8 % 5 {
        0 => ReplyKind::Query { cursor: false },
        1 => ReplyKind::Query { cursor: true },
        2 => ReplyKind::Prepare { client_id: 7 },
        3 => ReplyKind::Rows,
        _ => ReplyKind::Simple,
    };
    let tracking = Tracking {
        variables: &|name| name.len() % 2 == 0,
        schema: &|_| Some("ks".into()),
        state_change: true,
        before: &[],
        touched: true,
    };
    let options = RelayOptions {
        kind,
        client_capabilities: capabilities,
        more_follow: true,
        withhold: &[1213],
        tracking: &tracking,
        in_transaction: StatusFlags::SERVER_STATUS_IN_TRANS,
    };
    let (mut passage, mut course) = (Passage::default(), Course::new(&options, capabilities));
    let (mut buffer, mut from, mut to) = (BytesMut::new(), 0, 1);
    for piece in bytes.chunks(bytes.len().div_ceil(3).max(1)) {
        buffer.extend_from_slice(piece);
        while !(course.is_over() && passage.at_boundary()) {
            match passage.cut(&mut buffer, &mut from, &mut to, &mut course) {
                Err(_) => return,
                Ok(Cut::More) => break,
                Ok(Cut::Pass(len)) => {
                    assert!(len > 0 && len <= buffer.len());
                    buffer.advance(len);
                }
                Ok(Cut::Packet(len)) => {
                    match course.held(&buffer[frame::HEADER..frame::HEADER + len]) {
                        Err(_) | Ok(Verdict::Upload) => return,
                        Ok(Verdict::Rewritten) => assert!(!course.rewritten().is_empty()),
                        Ok(Verdict::Verbatim | Verdict::Withhold) => {}
                    }
                    buffer.advance(frame::HEADER + len);
                }
            }
        }
    }
}
