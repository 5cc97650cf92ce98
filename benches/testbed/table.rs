//! A printed table of what was measured, each row told when it is known.

use std::fmt;

use comfy_table::{CellAlignment, presets};
use shardlift::local::Servers;

use super::say;

/// Rows under a title.
#[derive(Debug)]
pub struct Table<const N: usize> {
    title: String,
    header: [&'static str; N],
    right: &'static [usize],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// None yet; the columns `right` hold numbers.
    pub fn new(title: String, header: [&'static str; N], right: &'static [usize]) -> Self {
        Self { title, header, right, rows: Vec::new() }
    }

    /// Tells and keeps a row.
    pub fn push(&mut self, row: [String; N]) {
        say(&row.join(" | "));
        self.rows.push(row);
    }
}

impl<const N: usize> fmt::Display for Table<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = comfy_table::Table::new();
        table.load_preset(presets::UTF8_HORIZONTAL_ONLY).set_header(self.header);
        table.add_rows(&self.rows);
        for &at in self.right {
            if let Some(column) = table.column_mut(at) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        write!(f, "{}\n{table}", self.title)
    }
}

/// What everything depends on.
pub fn title(servers: &Servers, rows: u64) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("MySQL {}, {cores} cores, {rows} rows", servers.version)
}
