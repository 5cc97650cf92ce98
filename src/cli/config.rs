//! The configuration file of `engine run` and `gateway run`: its keys are the names of the flags.
//!
//! Invariants: a flag on the command line wins over the environment, and that over the file. A value from the file goes
//! through the flag's own parser, beside the same rules on which flags go together, as if it had been typed. A key that is
//! no flag of the command is an error, for it is a setting that somebody believes in.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory, FromArgMatches};
use serde_norway::{Mapping, Value};

use super::Cli;

/// The flag that names the file.
const FLAG: &str = "config";

/// Parses a command line, completed by the environment and by the file it names.
pub fn parse(line: Vec<OsString>) -> Result<Cli, clap::Error> {
    let mut command = Cli::command();
    command.build();
    let (path, added) = match from_file(&command, &line) {
        Ok(Some((path, added))) => (path, added),
        Ok(None) => return read(command, line),
        Err(error) => return Err(command.error(ErrorKind::ValueValidation, error)),
    };
    let completed = line.into_iter().chain(added).collect();
    read(command.clone(), completed).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => error,
        kind => {
            let text = error.to_string();
            let text = text.trim().trim_start_matches("error: ").to_owned();
            command.error(kind, format!("{text}\n\nSome of these flags are from {}", path.display()))
        }
    })
}

fn read(mut command: Command, line: Vec<OsString>) -> Result<Cli, clap::Error> {
    let matches = command.try_get_matches_from_mut(line)?;
    Cli::from_arg_matches(&matches)
}

/// The file and the flags it adds, where there is one.
fn from_file(command: &Command, line: &[OsString]) -> Result<Option<(PathBuf, Vec<OsString>)>, String> {
    // Not yet the whole: what is missing may be in the file, and what is wrong is said when all is parsed. From an unbuilt
    // command, for building is what hands this setting down to the verbs.
    let Ok(matches) = Cli::command().ignore_errors(true).try_get_matches_from(line) else { return Ok(None) };
    let (command, matches) = leaf(command, &matches);
    let Ok(Some(path)) = matches.try_get_one::<PathBuf>(FLAG) else { return Ok(None) };
    let text = fs::read_to_string(path)
        .map_err(|error| format!("--config {}: {error}; give the path of a file that can be read", path.display()))?;
    let added = flags(command, matches, &text).map_err(|error| format!("--config {}: {error}", path.display()))?;
    Ok(Some((path.clone(), added)))
}

/// The verb that was called, with what it was given.
fn leaf<'a>(mut command: &'a Command, mut matches: &'a ArgMatches) -> (&'a Command, &'a ArgMatches) {
    while let Some((name, below)) = matches.subcommand() {
        let Some(found) = command.find_subcommand(name) else { break };
        (command, matches) = (found, below);
    }
    (command, matches)
}

/// The file's keys as flags, less those that were given otherwise.
fn flags(command: &Command, matches: &ArgMatches, text: &str) -> Result<Vec<OsString>, String> {
    let settings: Option<Mapping> = serde_norway::from_str(text)
        .map_err(|error| format!("not a YAML mapping of flags to values, such as `drain-timeout: 30s`: {error}"))?;
    let mut added = Vec::new();
    for (key, value) in settings.unwrap_or_default() {
        let key = key.as_str().ok_or_else(|| format!("{key:?} is not the name of a flag"))?;
        let flag = settable(command).find(|flag| flag.get_long() == Some(key)).ok_or_else(|| {
            let mut known: Vec<_> = settable(command).filter_map(Arg::get_long).collect();
            known.sort_unstable();
            format!("`{key}` is not a flag of this command; its flags are {}", known.join(", "))
        })?;
        let given = matches.value_source(flag.get_id().as_str());
        let typed = argument(flag, key, &value)?;
        if !matches!(given, Some(ValueSource::CommandLine | ValueSource::EnvVariable)) {
            added.extend(typed);
        }
    }
    Ok(added)
}

/// What a file may set: neither itself nor a question for help.
fn settable(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|flag| {
        !matches!(flag.get_action(), ArgAction::Help | ArgAction::HelpLong | ArgAction::HelpShort | ArgAction::Version)
            && flag.get_id() != FLAG
    })
}

/// One key as it would be typed; nothing for a switch that is off.
fn argument(flag: &Arg, key: &str, value: &Value) -> Result<Option<OsString>, String> {
    let switch = matches!(flag.get_action(), ArgAction::SetTrue);
    Ok(match value {
        Value::Bool(on) if switch => on.then(|| format!("--{key}").into()),
        _ if switch => return Err(format!("`{key}` is a switch: true or false")),
        Value::String(text) => Some(format!("--{key}={text}").into()),
        Value::Number(number) => Some(format!("--{key}={number}").into()),
        Value::Bool(_) | Value::Null | Value::Sequence(_) | Value::Mapping(_) | Value::Tagged(_) => {
            return Err(format!("`{key}` needs one value, a text or a number"));
        }
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn written(folder: &Path, text: &str) -> PathBuf {
        let path = folder.join("c.yaml");
        fs::write(&path, text).unwrap();
        path
    }

    /// The flags that `words` and a file of `text` come to, or the refusal.
    fn completed(words: &str, text: &str) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let line = format!("shardlift {words} --config {}", written(folder.path(), text).display());
        let line: Vec<OsString> = line.split(' ').map(Into::into).collect();
        let mut command = Cli::command();
        command.build();
        let (_, added) = from_file(&command, &line)?.unwrap();
        parse(line).map_err(|error| error.to_string())?;
        Ok(added.into_iter().map(|flag| flag.into_string().unwrap()).collect())
    }

    #[test]
    fn the_file_gives_what_the_command_line_leaves_open() {
        let text =
            "users: /u.json\npool-size: 7\ntopo: /t.sqlite\nrequire-tls: true\nno-tls: false\ndrain-timeout: 5s\n";
        let flags = completed("--topo /other gateway run --pool-size 9", text).unwrap();
        assert_eq!(flags, ["--users=/u.json", "--require-tls", "--drain-timeout=5s"]);
        assert_eq!(completed("engine run", "").unwrap(), [""; 0]);
        assert_eq!(
            completed("engine run", "{id: e-1, http-listen: none}").unwrap(),
            ["--id=e-1", "--http-listen=none"]
        );
    }

    #[test]
    fn what_is_wrong_in_the_file_is_refused_by_name() {
        for (text, says) in [
            ("pool_size: 7", "`pool_size` is not a flag"),
            ("config: /x", "`config` is not a flag"),
            ("help: true", "`help` is not a flag"),
            ("pool-size: [1]", "`pool-size` needs one value"),
            ("users: ", "`users` needs one value"),
            ("no-tls: 'yes'", "`no-tls` is a switch"),
            ("- users", "not a YAML mapping"),
            ("users: a\nusers: b", "duplicate"),
            ("users: /u\npool-size: many", "invalid value 'many'"),
            ("users: /u\ntls-cert: /c", "--tls-key"),
            ("users: /u\nno-tls: true\nrequire-tls: true", "cannot be used with"),
            ("pool-size: 7", "--users <FILE>"),
        ] {
            let refusal = completed("gateway run", text).unwrap_err();
            assert!(refusal.contains(says) && refusal.contains("c.yaml"), "{text}: {refusal}");
        }
        let missing = parse(["shardlift", "engine", "run", "--config", "/nowhere.yaml"].map(Into::into).into());
        assert!(missing.unwrap_err().to_string().contains("/nowhere.yaml"));
    }

    /// The environment's names follow from the flags', so that nobody has to look them up.
    #[test]
    fn every_flag_of_engine_and_gateway_can_be_set_by_the_environment() {
        let mut root = Cli::command();
        root.build();
        for noun in ["engine", "gateway"] {
            let run = root.find_subcommand(noun).and_then(|verbs| verbs.find_subcommand("run")).unwrap();
            for flag in run.get_arguments().filter(|flag| flag.get_long().is_some()) {
                let name = flag.get_long().unwrap();
                if matches!(name, "help" | "version" | "format") {
                    continue;
                }
                let shared = flag.is_global_set() || name == FLAG;
                let owner = if shared { String::new() } else { format!("{noun}_") };
                let wanted = format!("shardlift_{owner}{}", name.replace('-', "_")).to_uppercase();
                let said = flag.get_env().map(|env| env.to_string_lossy().into_owned());
                assert_eq!(said, Some(wanted), "--{name} of {noun} run");
            }
        }
    }
}
