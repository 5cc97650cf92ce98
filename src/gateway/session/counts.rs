//! The counts of several shards' writes as one. Pure.

use crate::gateway::client::OkPacket;
use crate::gateway::plan::bind::Answer;
use crate::gateway::route::Several;
use crate::gateway::sql::{Dml, Kind, Statement};
use crate::mysql::wire::relay::Outcome;

use super::gather::Answered;

/// What servers remark on an INSERT of several rows.
const INSERTED: &str = "Records: 0  Duplicates: 0  Warnings: 0";

/// The counts of all shards as one.
pub(super) fn counted(answered: &[Answered], several: &Several, statement: &Statement, sql: &[u8]) -> OkPacket {
    let same = matches!(several.answer, Answer::Counts { same: true });
    let inserts = matches!(statement.kind, Kind::Dml(Dml::Insert | Dml::Replace)) && several.stops.len() > 1 && !same;
    let head = sql.get(..sql.len().min(48)).unwrap_or_default().to_ascii_uppercase();
    let ignores = head.split(|byte| byte.is_ascii_whitespace()).any(|word| word == b"IGNORE");
    let mut packet = OkPacket::default();
    let mut infos: Vec<String> = Vec::new();
    for one in answered.iter().take(if same { 1 } else { usize::MAX }) {
        if let Outcome::Done { affected_rows, last_insert_id, info } = &one.relayed.outcome {
            packet.affected_rows += affected_rows;
            packet.warnings = packet.warnings.saturating_add(one.relayed.warnings);
            if packet.last_insert_id == 0 {
                packet.last_insert_id = *last_insert_id;
            }
            infos.push(match inserts && info.is_empty() {
                // Of a single row a server remarks nothing.
                true => {
                    let duplicates =
                        if ignores { 1u64.saturating_sub(*affected_rows) } else { affected_rows.saturating_sub(1) };
                    format!("Records: 1  Duplicates: {duplicates}  Warnings: {}", one.relayed.warnings)
                }
                false => info.clone(),
            });
        }
    }
    if inserts {
        infos.insert(0, INSERTED.to_owned());
    }
    let infos: Vec<&str> = infos.iter().map(String::as_str).collect();
    packet.info = summed(&infos).into_bytes();
    packet
}

/// Remarks of several shards as one: their numbers summed up.
fn summed(infos: &[&str]) -> String {
    let numbers = |info: &str| -> Vec<u64> {
        info.split(|c: char| !c.is_ascii_digit())
            .filter(|part| !part.is_empty())
            .filter_map(|part| part.parse().ok())
            .collect()
    };
    let Some(first) = infos.first().filter(|info| !info.is_empty()) else { return String::new() };
    let mut sums = numbers(first);
    for info in infos.iter().skip(1) {
        for (sum, number) in sums.iter_mut().zip(numbers(info)) {
            *sum += number;
        }
    }
    let (mut text, mut sums, mut within) = (String::new(), sums.into_iter(), false);
    for c in first.chars() {
        match (c.is_ascii_digit(), within) {
            (true, false) => text.push_str(&sums.next().unwrap_or_default().to_string()),
            (true, true) => {}
            (false, _) => text.push(c),
        }
        within = c.is_ascii_digit();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::summed;

    #[test]
    fn remarks_are_summed_up() {
        let infos = ["Rows matched: 10  Changed: 1  Warnings: 0", "Rows matched: 2  Changed: 2  Warnings: 0"];
        assert_eq!(summed(&infos), "Rows matched: 12  Changed: 3  Warnings: 0");
        assert_eq!(summed(&["", ""]), "");
    }
}
