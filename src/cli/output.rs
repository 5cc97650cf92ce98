//! What commands print: tables for people, JSON for programs. Messages of success go to stdout too, errors to stderr.

use std::io::Write;

use anyhow::Result;
use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::json;

/// How listings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns.
    Table,
    /// JSON.
    Json,
}

/// One line of a listing.
pub trait Listed: Serialize {
    /// The table's heading.
    const COLUMNS: &'static [&'static str];

    /// The line's cells, one per column.
    fn cells(&self) -> Vec<String>;
}

/// Standard output in the chosen format.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    format: Format,
}

impl Output {
    /// Output in `format`.
    pub fn new(format: Format) -> Self {
        Self { format }
    }

    /// Whether programs read it.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Prints a listing: a table, or a JSON array.
    pub fn list<T: Listed>(&self, items: &[T]) -> Result<()> {
        match self.format {
            Format::Json => self.json(items),
            Format::Table => {
                let mut table = Table::new();
                table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
                table.set_header(T::COLUMNS);
                table.add_rows(items.iter().map(Listed::cells));
                for column in table.column_iter_mut() {
                    column.set_padding((0, 2));
                }
                let text = table.lines().map(|line| line.trim_end().to_string()).collect::<Vec<_>>().join("\n");
                line(&text)
            }
        }
    }

    /// Prints one item: `name: value` lines, or a JSON object.
    pub fn show<T: Listed>(&self, item: &T) -> Result<()> {
        match self.format {
            Format::Json => self.json(item),
            Format::Table => {
                let width = T::COLUMNS.iter().map(|column| column.len()).max().unwrap_or(0) + 2;
                for (column, cell) in T::COLUMNS.iter().zip(item.cells()) {
                    line(format!("{:width$}{cell}", format!("{column}:")).trim_end())?;
                }
                Ok(())
            }
        }
    }

    /// Prints a text as it is, whatever the format.
    pub fn text(&self, text: &str) -> Result<()> {
        line(text)
    }

    /// Says what was done.
    pub fn done(&self, message: &str) -> Result<()> {
        match self.format {
            Format::Json => self.json(&json!({ "message": message })),
            Format::Table => line(message),
        }
    }

    /// Prints JSON whatever the format.
    pub fn json<T: Serialize + ?Sized>(&self, value: &T) -> Result<()> {
        line(&serde_json::to_string_pretty(value)?)
    }
}

/// A line on stdout; unlike `println!` it does not panic when the reader has gone.
fn line(text: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout().lock(), "{text}")?)
}
