//! The command line of dynamo-tracker.
//!
//! `args` is what can be said, `connect` makes a client of it, each command is a function of `commands` or `run`, and
//! `output` says what came of it. Exit codes are in `exit`.

mod args;
mod asl;
mod commands;
mod connect;
mod data;
mod exit;
mod output;
mod record;
mod render;
mod run;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Args, Command};
use exit::Exit;
use output::{Failure, Output};

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return usage(&error),
    };
    let output = Output::new(&args.global);
    let exit = match offline(&args, &output) {
        Some(exit) => exit,
        None => online(args, &output),
    };
    output::exit(exit).code()
}

/// Help and version are no errors. Anything else that clap refuses is, and is told in the form that was asked for.
fn usage(error: &clap::Error) -> ExitCode {
    let is_help = !error.use_stderr();
    let mut ours = std::env::args_os().take_while(|argument| argument != "--");
    if !is_help && ours.any(|argument| argument == "--json") {
        let message = error.render().to_string();
        Output::json().failed(&Failure::usage(message.trim_end()));
    } else {
        // Nobody reads it where this fails.
        let _ = error.print();
    }
    if is_help { Exit::Done.code() } else { Exit::Usage.code() }
}

/// The commands that need neither table nor runtime.
fn offline(args: &Args, output: &Output) -> Option<Exit> {
    let mut out = Vec::new();
    match &args.command {
        Command::Asl(asl) => return Some(asl::print(&args.global, asl, output)),
        Command::Completions { shell } => {
            let mut definition = Args::command();
            clap_complete::generate(*shell, &mut definition, env!("CARGO_BIN_NAME"), &mut out);
        }
        Command::Man { command } => {
            let mut definition = Args::command();
            definition.build();
            let page = match command {
                None => definition,
                Some(name) => match definition.find_subcommand(name) {
                    Some(found) => found.clone(),
                    None => {
                        let failure = Failure::usage(&format!("there is no command {name:?}; see --help"));
                        return Some(output.failed(&failure));
                    }
                },
            };
            // Writing to memory can't fail.
            let _ = clap_mangen::Man::new(page).render(&mut out);
        }
        _ => return None,
    }
    output::raw(&out);
    Some(Exit::Done)
}

fn online(args: Args, output: &Output) -> Exit {
    output::trace(args.global.verbose);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return output.failed(&Failure::system("can't start", &error)),
    };
    let exit = runtime.block_on(commands::dispatch(args, output)).unwrap_or_else(|failure| output.failed(&failure));
    // A thread that writes to somebody who does not read must not keep the process.
    runtime.shutdown_background();
    exit
}
