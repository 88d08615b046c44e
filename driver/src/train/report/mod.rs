//! An HTML page that shows a run: one file with charts and without scripts,
//! which is also well-formed XML.

mod chart;
mod text;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Display;

use self::text::{cut, escape, fixed, scientific, short};
use chart::{Chart, Limit, Line, Scale, Stroke, steps_per_bar};

use super::log::{ClientEvent, Phase, Quality, ServerEvent, latest};
use super::stopping;
use crate::base::text::bytes;

const STYLE: &str = include_str!("style.css");

/// The number of phases that are listed by name; the rest are listed together.
const PHASES: usize = 20;

/// The number of rows of a table of epochs.
const ROWS: usize = 200;

/// The number of classes in tables.
const CLASSES: usize = 100;

/// The number of phases of a step whose levels are drawn.
const STAIRS: usize = 32;

/// Returns the page. Parts without events are left out: the client's events, for example,
/// stay with the client. If steps were repeated after a resumption, the later ones count;
/// steps that were lost with it do not.
///
/// The page is well-formed XML of at most 2 MiB for any events, even those of a damaged
/// log or of one that another party wrote. Charts show what can be seen of many steps.
/// Tables and names that are too long are cut, and say so.
#[must_use]
pub fn report(server: &[ServerEvent], client: &[ClientEvent]) -> String {
    let run = Run::new(server, client);
    // These sections have one chart each, and are shown in pairs.
    let pairs = [run.batches(), run.logits(), run.twin(), run.memory()].concat();
    let pairs = if pairs.is_empty() { pairs } else { format!("<div class=\"pairs\">\n{pairs}</div>\n") };
    let sections = [run.validation(), pairs, run.time(), run.levels(), run.test()];
    format!(
        r#"<!DOCTYPE html>
<html lang="en" xmlns="http://www.w3.org/1999/xhtml">
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<title>Encrypted training</title>
<style>
{STYLE}</style>
</head>
<body>
<main>
{}{}<footer>Written by hetal {}.</footer>
</main>
</body>
</html>
"#,
        run.head(),
        sections.concat(),
        env!("CARGO_PKG_VERSION")
    )
}

/// The latest events of a run, by kind.
#[derive(Default)]
struct Run<'a> {
    /// The time of the first start, in seconds since 1970.
    begun: Option<u64>,
    /// The last [`ServerEvent::Start`].
    start: Option<&'a ServerEvent>,
    /// The numbers of steps done before each continuation.
    resumed: Vec<usize>,
    /// The steps, ordered by number.
    steps: Vec<Step<'a>>,
    validation_seconds: f64,
    /// The seconds and bytes of the checkpoints.
    checkpoints: Vec<(f64, u64)>,
    /// The [`ServerEvent::End`], if no event follows it.
    end: Option<&'a ServerEvent>,
    /// The comparisons of weights, ordered by step.
    weights: Vec<Weights>,
    /// The validations, ordered by epoch.
    validations: Vec<Validation>,
    /// The last [`ClientEvent::Test`].
    test: Option<&'a ClientEvent>,
}

struct Step<'a> {
    epoch: usize,
    step: usize,
    seconds: f64,
    phases: &'a [Phase],
    memory_bytes: usize,
}

struct Weights {
    step: usize,
    difference: f64,
    max_logit: f64,
    loss: f64,
}

struct Validation {
    epoch: usize,
    step: usize,
    encrypted: Quality,
    max_logit_w: Option<f64>,
    max_logit_rows: Option<f64>,
    twin: Option<Quality>,
    exact: Option<Quality>,
}

/// All phases with the same name, with a value for every step.
struct Series<'a> {
    name: Cow<'a, str>,
    seconds: Vec<f64>,
    bootstraps: Vec<f64>,
    bootstrap_seconds: Vec<f64>,
}

impl<'a> Run<'a> {
    fn new(server: &'a [ServerEvent], client: &'a [ClientEvent]) -> Self {
        let mut run = Self::default();
        let server = latest(server);
        // Steps beyond the checkpoint at which a later event resumes the run are lost.
        let mut kept = usize::MAX;
        for event in server.iter().rev() {
            match **event {
                ServerEvent::Start { first_step, .. } => kept = kept.min(first_step),
                ServerEvent::Step { epoch, step, seconds, ref phases, memory_bytes, .. } if step <= kept => {
                    run.steps.push(Step { epoch, step, seconds, phases, memory_bytes });
                }
                _ => (),
            }
        }
        run.steps.sort_by_key(|step| step.step);
        for event in server {
            match event {
                &ServerEvent::Start { unix_time, first_step, .. } => {
                    run.resumed.extend((first_step > 0 || run.start.is_some()).then_some(first_step));
                    run.begun = run.begun.or(Some(unix_time));
                    (run.start, run.end) = (Some(event), None);
                }
                ServerEvent::Step { .. } => (),
                ServerEvent::Epoch { validation_seconds, .. } => run.validation_seconds += validation_seconds,
                &ServerEvent::Checkpoint { seconds, bytes, .. } => run.checkpoints.push((seconds, bytes)),
                ServerEvent::End { .. } => run.end = Some(event),
            }
        }
        for event in latest(client) {
            match *event {
                ClientEvent::Weights { step, difference, max_logit, loss, .. } => {
                    run.weights.push(Weights { step, difference, max_logit, loss });
                }
                ClientEvent::Validation {
                    epoch, step, encrypted, max_logit_w, max_logit_rows, twin, exact, ..
                } => {
                    let of_epoch = Validation { epoch, step, encrypted, max_logit_w, max_logit_rows, twin, exact };
                    run.validations.push(of_epoch);
                }
                ClientEvent::Test { .. } => run.test = Some(event),
            }
        }
        run.weights.sort_by_key(|weights| weights.step);
        run.validations.sort_by_key(|validation| validation.epoch);
        run
    }

    fn median_step(&self) -> Option<&Step<'a>> {
        let mut steps: Vec<&Step> = self.steps.iter().collect();
        steps.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        steps.get(steps.len().saturating_sub(1) / 2).copied()
    }

    fn step_seconds(&self) -> f64 {
        self.steps.iter().map(|step| step.seconds).sum()
    }

    /// Returns the largest memory in bytes, or 0 if no event tells it.
    fn peak_bytes(&self) -> usize {
        let end = match self.end {
            Some(&ServerEvent::End { peak_memory_bytes, .. }) => peak_memory_bytes,
            _ => 0,
        };
        self.steps.iter().map(|step| step.memory_bytes).fold(end, usize::max)
    }

    /// Returns the epoch that is the result: see [`stopping::best_epoch`]. Epochs count from 1,
    /// whatever a log says.
    fn best_epoch(&self) -> Option<usize> {
        let Some(&ServerEvent::Start { logit_range, .. }) = self.start else { return None };
        let validations = self.validations.iter().filter(|v| v.epoch > 0).map(|v| (v.epoch, v.encrypted));
        stopping::best_epoch(validations, logit_range)
    }

    /// Returns whether the client followed the run and had nothing to validate with.
    fn has_no_validation(&self) -> bool {
        self.validations.is_empty() && !(self.weights.is_empty() && self.test.is_none())
    }

    /// The title, the warnings and the facts.
    fn head(&self) -> String {
        let mut badges = String::new();
        let mut facts: Vec<(&str, String, String)> = Vec::new();
        let mut warning = "";
        if let Some(ServerEvent::Start {
            preset,
            insecure,
            mode,
            rows,
            features,
            classes,
            batch,
            steps_per_epoch,
            epochs,
            ..
        }) = self.start
        {
            let (class, security) = if *insecure { ("bad", "INSECURE") } else { ("good", "128-bit secure") };
            if *insecure {
                warning = r#"<p class="bad">The parameters are below 128 bits of security: this run is a test, and protects nothing.</p>"#;
            }
            let [preset, mode] = [preset, mode].map(|text| escape(&cut(text)));
            badges = format!(
                r#"<div class="badges"><span>preset {preset}</span><span class="{class}">{security}</span><span>mode {mode}</span></div>
"#
            );
            let shape = format!("{} × {features}", thousands(*rows));
            facts.push(("Training set", shape, format!("rows × features, {classes} classes")));
            facts.push((
                "Plan",
                counted(*epochs, "epoch"),
                format!("at most, {steps_per_epoch} steps of {batch} rows each"),
            ));
        }
        if let Some(last) = self.steps.last() {
            let (mut done, mut epochs, mut total) =
                (last.step, last.epoch, self.step_seconds() + self.validation_seconds);
            if let Some(ServerEvent::End { steps, epochs: all, seconds, .. }) = self.end {
                (done, epochs, total) = (*steps, *all, *seconds);
            }
            facts.push(("Steps", thousands(done), format!("in {}", counted(epochs, "epoch"))));
            let none = self.validations.is_empty() && self.validation_seconds <= 1e-3 * total;
            let validation =
                if none { String::new() } else { format!("validation {}", duration(self.validation_seconds)) };
            facts.push(("Total time", duration(total), validation));
        }
        if let Some(median) = self.median_step() {
            let steps = format!("median; all steps {}", duration(self.step_seconds()));
            facts.push(("Seconds per step", format!("{} s", short(median.seconds)), steps));
        }
        if let Some(best) = self.best_epoch() {
            let by = if self.end.is_some() { "least validation loss" } else { "so far" };
            facts.push(("Best epoch", best.to_string(), by.to_owned()));
        }
        if let Some(&ServerEvent::End { epochs: last @ 1.., .. }) = self.end
            && self.has_no_validation()
        {
            facts.push(("Result", format!("epoch {last}"), "the last one, as there was no validation".to_owned()));
        }
        if let Some(ClientEvent::Test { encrypted, .. }) = self.test {
            let loss = format!("loss {}", fixed(encrypted.loss, 4));
            facts.push(("Test accuracy", percent(encrypted.accuracy), loss));
        }
        if self.peak_bytes() > 0 {
            facts.push(("Peak memory", bytes(self.peak_bytes()), "of the server".to_owned()));
        }
        if let Some(ServerEvent::Start { key_bytes, threads, .. }) = self.start {
            facts.push(("Evaluation keys", bytes(*key_bytes), "held by the server".to_owned()));
            facts.push(("Threads", threads.to_string(), String::new()));
        }
        if let Some(&(_, size)) = self.checkpoints.last() {
            let seconds = median(self.checkpoints.iter().map(|checkpoint| checkpoint.0));
            let size = bytes(usize::try_from(size).unwrap_or(usize::MAX));
            let count = counted(self.checkpoints.len(), "file");
            facts.push(("Checkpoint", size, format!("{} s to write; {count} written", short(seconds))));
        }
        if !self.resumed.is_empty() {
            let (earlier, last) = self.resumed.split_at(self.resumed.len().saturating_sub(12));
            let after: Vec<String> = last.iter().map(ToString::to_string).collect();
            let lately = if earlier.is_empty() { "" } else { "lately " };
            let after = format!("{lately}after step {}", after.join(", "));
            facts.push(("Resumed", counted(self.resumed.len(), "time"), after));
        }
        if let Some(ServerEvent::End { reason, .. }) = self.end {
            facts.push(("End", cut(reason).into_owned(), String::new()));
        } else if self.start.is_some() {
            facts.push(("End", "none yet".to_owned(), "still running, or cut off".to_owned()));
        }
        let begun = self.begun.map_or_else(String::new, |time| format!(r#"<p class="soft">Begun {}.</p>"#, date(time)));
        let tile = |(name, value, more): &(&str, String, String)| {
            let more = if more.is_empty() { String::new() } else { format!("<small>{}</small>", escape(more)) };
            format!("<div><dt>{name}</dt><dd>{}{more}</dd></div>\n", escape(value))
        };
        let tiles: String = facts.iter().map(tile).collect();
        let tiles = if tiles.is_empty() { tiles } else { format!("<dl>\n{tiles}</dl>\n") };
        format!("<h1>Training on encrypted data</h1>\n{badges}{begun}{warning}{tiles}")
    }

    /// The loss and accuracy by epoch.
    fn validation(&self) -> String {
        let Some(last) = self.validations.last() else { return String::new() };
        let lines = |value: fn(&Quality) -> f64| {
            let points = |quality: fn(&Validation) -> Option<Quality>| {
                let point = |v: &Validation| Some((v.epoch, value(&quality(v)?)));
                self.validations.iter().filter_map(point).collect()
            };
            let line = |name: &str, colour, stroke, points| Line { name: name.to_owned(), colour, stroke, points };
            vec![
                line("plain twin", 1, Stroke::Wide, points(|v| v.twin)),
                line("exact softmax, plain", 2, Stroke::Dashed, points(|v| v.exact)),
                line("encrypted", 0, Stroke::Thin, points(|v| Some(v.encrypted))),
            ]
        };
        let chart = |title, y, description| Chart { title, description, x: "epoch", y, limit: None };
        let after = format!("of the encrypted model after epoch {}", last.epoch);
        let loss = format!("Validation loss by epoch: {} {after}.", fixed(last.encrypted.loss, 4));
        let accuracy = format!("Validation accuracy by epoch: {} {after}.", percent(last.encrypted.accuracy));
        let figures = [
            chart("Validation loss", "cross-entropy", loss).lines(Scale::Near, lines(|q| q.loss)),
            chart("Validation accuracy", "%", accuracy).lines(Scale::Near, lines(|q| 100.0 * q.accuracy)),
        ];
        let best = self.best_epoch();
        let row = |v: &Validation| {
            let mark = if best == Some(v.epoch) { " (best)" } else { "" };
            let mut row = vec![format!("{}{mark}", v.epoch), v.step.to_string()];
            for quality in [Some(v.encrypted), v.twin, v.exact] {
                row.extend(quality_cells(quality).into_iter().take(2));
            }
            row
        };
        let names = ["epoch", "steps", "loss", "accuracy", "twin: loss", "accuracy", "exact: loss", "accuracy"]
            .map(String::from);
        // A long table shows the first and the last rows, and the best.
        let all = self.validations.len();
        let shown =
            |i: usize, v: &Validation| all <= ROWS || !(ROWS / 2..all - ROWS / 2).contains(&i) || best == Some(v.epoch);
        let rows: Vec<_> =
            self.validations.iter().enumerate().filter(|(i, v)| shown(*i, v)).map(|(_, v)| row(v)).collect();
        let table = table("Validation by epoch", &names, &rows) + &left_out(rows.len(), all, "epochs");
        section(
            "Learning",
            "The encrypted model beside the same training in the clear, once with the same approximations (its twin) and once with exact softmax.",
            &format!("{}<details><summary>All numbers</summary>{}</details>\n", grid(&figures), card(&table)),
        )
    }

    /// The loss of the batches.
    fn batches(&self) -> String {
        let (Some(first), Some(last)) = (self.weights.first(), self.weights.last()) else { return String::new() };
        let text = format!(
            "The plain twin's loss on the batch of each step: {} at step {}, {} at step {}.",
            fixed(first.loss, 4),
            first.step,
            fixed(last.loss, 4),
            last.step
        );
        let chart = Chart {
            title: "Loss on the batch, plain twin",
            description: text.clone(),
            x: "step",
            y: "cross-entropy",
            limit: None,
        };
        let points = self.weights.iter().map(|w| (w.step, w.loss)).collect();
        let line = Line { name: "loss".to_owned(), colour: 1, stroke: Stroke::Thin, points };
        section("Batches", &text, &grid(&[chart.lines(Scale::Near, vec![line])]))
    }

    /// The logits, compared with the domain of the softmax.
    fn logits(&self) -> String {
        let by_epoch = |value: fn(&Validation) -> Option<f64>| -> Vec<(usize, f64)> {
            self.validations.iter().filter_map(|v| Some((v.step, value(v)?))).collect()
        };
        let line = |name: &str, colour, stroke, points| Line { name: name.to_owned(), colour, stroke, points };
        // The logits of every step if they are in the log; otherwise the largest of all steps until
        // the end of each epoch.
        let batches: Vec<_> = self.weights.iter().map(|w| (w.step, w.max_logit)).collect();
        let batches = if batches.is_empty() {
            line("batches until then, plain twin", 1, Stroke::Thin, by_epoch(|v| v.max_logit_rows))
        } else {
            line("batch, plain twin", 1, Stroke::Thin, batches)
        };
        let mut lines = vec![
            batches,
            line("validation, encrypted W", 2, Stroke::Dashed, by_epoch(|v| v.max_logit_w)),
            line("validation, encrypted V", 0, Stroke::Thin, by_epoch(|v| Some(v.encrypted.max_logit))),
        ];
        lines.retain(|line| !line.points.is_empty());
        let all = lines.iter().flat_map(|line| line.points.iter().map(|point| (point, &line.name)));
        let Some((&(step, largest), place)) = all.max_by(|a, b| a.0.1.total_cmp(&b.0.1)) else { return String::new() };
        let seen = format!("The largest logit is {} at step {step} ({place})", short(largest));
        let (text, limit) = match self.start {
            Some(&ServerEvent::Start { logit_range: range, .. }) => {
                let exceeded = largest.is_nan() || largest > range;
                let text = if exceeded {
                    format!(
                        r#"<p class="bad">{seen}: {} beyond ±{}, the domain of the softmax. What was computed from there on is not a softmax: train again with a larger logit range, a smaller learning rate, or fewer epochs.</p>"#,
                        short(largest - range),
                        short(range)
                    )
                } else {
                    format!(
                        "<p>{seen}: {} of the softmax's domain of ±{}, which leaves a margin of {}.</p>",
                        share(largest, range),
                        short(range),
                        short(range - largest)
                    )
                };
                (text, Some(Limit { name: format!("R = {}", short(range)), value: range, exceeded }))
            }
            _ => (format!("<p>{seen}.</p>"), None),
        };
        let chart = Chart {
            title: "Largest magnitude of a logit",
            description: format!("{seen}."),
            x: "step",
            y: "max |logit|",
            limit,
        };
        section_of("Logits", &text, &grid(&[chart.lines(Scale::Zero, lines)]))
    }

    /// Returns the phases by name, in the order of their first appearance; then those beyond
    /// [`PHASES`] with the fewest seconds, together; last the time that is in no phase,
    /// if it is worth showing.
    fn series(&self) -> Vec<Series<'a>> {
        let mut numbers = HashMap::new();
        let mut named: Vec<(&str, f64)> = Vec::new();
        for phase in self.steps.iter().flat_map(|step| step.phases) {
            let number = *numbers.entry(phase.name.as_str()).or_insert(named.len());
            if number == named.len() {
                named.push((&phase.name, 0.0));
            }
            named[number].1 += phase.seconds;
        }
        let mut told: Vec<usize> = (0..named.len()).collect();
        if told.len() > PHASES {
            told.sort_by(|&i, &j| named[j].1.total_cmp(&named[i].1));
            told.truncate(PHASES - 1);
            told.sort_unstable();
        }
        let empty = |name| {
            let [seconds, bootstraps, bootstrap_seconds] = [(); 3].map(|()| vec![0.0; self.steps.len()]);
            Series { name, seconds, bootstraps, bootstrap_seconds }
        };
        let mut all: Vec<Series> = told.iter().map(|&number| empty(cut(named[number].0))).collect();
        if told.len() < named.len() {
            all.push(empty(format!("{} other phases", thousands(named.len() - told.len())).into()));
        }
        let mut places = vec![told.len(); named.len()];
        told.iter().enumerate().for_each(|(place, &number)| places[number] = place);
        for (i, step) in self.steps.iter().enumerate() {
            for phase in step.phases {
                let of = &mut all[places[numbers[phase.name.as_str()]]];
                of.seconds[i] += phase.seconds;
                of.bootstraps[i] += phase.bootstraps as f64;
                of.bootstrap_seconds[i] += phase.bootstrap_seconds;
            }
        }
        let rest = |step: &Step| (step.seconds - step.phases.iter().map(|phase| phase.seconds).sum::<f64>()).max(0.0);
        let rest: Vec<f64> = self.steps.iter().map(rest).collect();
        if rest.iter().sum::<f64>() > 1e-3 * self.step_seconds() {
            all.push(Series { seconds: rest, ..empty("outside phases".into()) });
        }
        all
    }

    /// The seconds by phase, predicted and measured.
    fn time(&self) -> String {
        let Some(median_step) = self.median_step() else { return String::new() };
        let predicted = match self.start {
            Some(&ServerEvent::Start { predicted_step_seconds: seconds, .. }) if seconds > 0.0 => Some(seconds),
            _ => None,
        };
        let series = self.series();
        let numbers: Vec<usize> = self.steps.iter().map(|step| step.step).collect();
        let title = match steps_per_bar(numbers.len()) {
            1 => "Time of every step".to_owned(),
            several => format!("Time of the longest of every {} steps", thousands(several)),
        };
        let chart = Chart {
            title: &title,
            description: format!("Seconds by step and phase: {} in the median.", short(median_step.seconds)),
            x: "step",
            y: "seconds",
            limit: predicted.map(|value| Limit { name: "predicted".to_owned(), value, exceeded: false }),
        };
        let decimals = if median_step.seconds < 1.0 { 4 } else { 2 };
        let all = self.step_seconds();
        let row = |of: &Series| {
            vec![
                of.name.clone().into_owned(),
                fixed(median(of.seconds.iter().copied()), decimals),
                share(of.seconds.iter().sum(), all),
                short(median(of.bootstraps.iter().copied())),
                fixed(median(of.bootstrap_seconds.iter().copied()), decimals),
            ]
        };
        let mut rows: Vec<_> = series.iter().map(row).collect();
        let of_steps =
            |value: fn(&Phase) -> f64| median(self.steps.iter().map(|step| step.phases.iter().map(value).sum()));
        rows.push(vec![
            "whole step".to_owned(),
            fixed(median_step.seconds, decimals),
            share(all, all),
            short(of_steps(|phase| phase.bootstraps as f64)),
            fixed(of_steps(|phase| phase.bootstrap_seconds), decimals),
        ]);
        let names = ["phase", "seconds", "share", "bootstraps", "seconds in them"].map(String::from);
        let table = table("Medians of a step", &names, &rows);
        let compared = predicted.map_or_else(String::new, |seconds| {
            format!(
                "<p>A step was predicted to take {} s and took {} s in the median: {} of that.</p>",
                short(seconds),
                short(median_step.seconds),
                share(median_step.seconds, seconds)
            )
        });
        let bars: Vec<(&str, &[f64])> = series.iter().map(|of| (&*of.name, &of.seconds[..])).collect();
        section_of("Time", &compared, &grid(&[chart.stacks(&numbers, &bars), card(&table)]))
    }

    /// The levels and scales through a step.
    fn levels(&self) -> String {
        let Some(step) = self.median_step().filter(|step| !step.phases.is_empty()) else { return String::new() };
        let phases = &step.phases[..step.phases.len().min(STAIRS)];
        let stairs = |title, y, scale, colour, value: fn(&Phase) -> f64| {
            let parts: Vec<_> =
                phases.iter().map(|phase| (cut(&phase.name).into_owned(), value(phase), phase.bootstraps)).collect();
            let told: Vec<String> = parts.iter().map(|(name, value, _)| format!("{name} {}", short(*value))).collect();
            let description = format!("At the end of each phase of step {}: {}.", step.step, told.join(", "));
            Chart { title, description, x: "", y, limit: None }.stairs(scale, &parts, colour)
        };
        let text = format!("Step {}, the one of median time: what each phase leaves behind.", step.step);
        let figures = [
            stairs("Level", "level", Scale::Zero, 0, |phase| phase.level as f64),
            stairs("Scale", "log2 of the scale", Scale::Bits, 3, |phase| phase.log_scale),
        ];
        section("Levels", &text, &(grid(&figures) + &left_out(phases.len(), step.phases.len(), "phases")))
    }

    /// The weights, compared with those of the twin.
    fn twin(&self) -> String {
        let Some(largest) = self.weights.iter().max_by(|a, b| a.difference.total_cmp(&b.difference)) else {
            return String::new();
        };
        let text = format!(
            "Decrypted weights differ from those of the plain twin, which computes with the same approximations, by at most {} (step {}): the noise of encryption and bootstrapping.",
            short(largest.difference),
            largest.step
        );
        let chart = Chart {
            title: "Largest difference of a weight from the twin",
            description: text.clone(),
            x: "step",
            y: "difference",
            limit: None,
        };
        let points = self.weights.iter().map(|w| (w.step, w.difference)).collect();
        let line = Line { name: "difference".to_owned(), colour: 4, stroke: Stroke::Thin, points };
        section("Exactness", &text, &grid(&[chart.lines(Scale::Log, vec![line])]))
    }

    /// The memory by step, predicted and measured.
    fn memory(&self) -> String {
        if self.steps.is_empty() {
            return String::new();
        }
        let peak = self.peak_bytes();
        let predicted = match self.start {
            Some(&ServerEvent::Start { predicted_memory_bytes: bytes @ 1.., .. }) => Some(bytes),
            _ => None,
        };
        let (unit, name) = if peak < 1 << 30 { (1u64 << 20, "MiB") } else { (1 << 30, "GiB") };
        let in_unit = |bytes: usize| bytes as f64 / unit as f64;
        let chart = Chart {
            title: "Memory of the server",
            description: format!("By step; {} at its peak.", bytes(peak)),
            x: "step",
            y: name,
            limit: predicted.map(|value| Limit {
                name: "predicted peak".to_owned(),
                value: in_unit(value),
                exceeded: peak > value,
            }),
        };
        let points = self.steps.iter().map(|step| (step.step, in_unit(step.memory_bytes))).collect();
        let line = Line { name: "memory".to_owned(), colour: 3, stroke: Stroke::Thin, points };
        let compared = predicted.map_or_else(String::new, |value| {
            let part = share(peak as f64, value as f64);
            format!("<p>The peak was predicted at {} and was {}: {part} of that.</p>", bytes(value), bytes(peak))
        });
        section_of("Memory", &compared, &grid(&[chart.lines(Scale::Zero, vec![line])]))
    }

    /// The result on the test set.
    fn test(&self) -> String {
        let Some(ClientEvent::Test { encrypted, twin, exact, confusion, class_names }) = self.test else {
            return String::new();
        };
        let name = |i: usize| {
            class_names.as_ref().and_then(|names| names.get(i)).map_or_else(|| i.to_string(), |name| cut(name).into())
        };
        let models = [("encrypted", Some(*encrypted)), ("plain twin", *twin), ("exact softmax, plain", *exact)];
        let models = models.into_iter().filter(|(_, quality)| quality.is_some());
        let rows: Vec<_> =
            models.map(|(name, quality)| [vec![name.to_owned()], quality_cells(quality)].concat()).collect();
        let quality = table("On the test set", &["model", "loss", "accuracy", "max |logit|"].map(String::from), &rows);
        let all = confusion.iter().map(Vec::len).fold(confusion.len(), usize::max);
        let classes = all.min(CLASSES);
        let cell = |i: usize, j: usize| confusion.get(i).and_then(|row| row.get(j)).copied().unwrap_or(0);
        // A file may hold any numbers, so that their sum needs 128 bits.
        let sum = |counts: &mut dyn Iterator<Item = usize>| counts.map(|count| count as u128).sum::<u128>();
        let of_class = |i: usize| sum(&mut confusion.get(i).into_iter().flatten().copied());
        let ratio =
            |part: usize, all: u128| if all == 0 { "–".to_owned() } else { percent(part as f64 / all as f64) };
        let rows: Vec<_> = (0..classes)
            .map(|i| {
                let predicted = sum(&mut (0..confusion.len()).map(|j| cell(j, i)));
                let hits = cell(i, i);
                vec![name(i), thousands(of_class(i)), ratio(hits, predicted), ratio(hits, of_class(i))]
            })
            .collect();
        let per_class = table("By class", &["class", "rows", "precision", "recall"].map(String::from), &rows);
        let heads: String = (0..classes).map(|j| format!(r#"<th scope="col">{}</th>"#, escape(&name(j)))).collect();
        let row = |i: usize| {
            let all = of_class(i).max(1) as f64;
            let shaded = |j: usize| {
                let count = cell(i, j);
                let class = if count == 0 {
                    "none"
                } else if i == j {
                    "hit"
                } else {
                    "miss"
                };
                // The colour is light enough for the number to be readable.
                let part = 0.1 + 0.5 * count as f64 / all;
                format!(r#"<td class="{class}" style="--part:{part:.2}">{count}</td>"#)
            };
            let cells: String = (0..classes).map(shaded).collect();
            format!(r#"<tr><th scope="row">{}</th>{cells}</tr>"#, escape(&name(i)))
        };
        let confusion = format!(
            r#"<table class="confusion"><caption><strong>Confusion</strong>: rows by true class, columns by predicted class</caption>
<thead><tr><th></th>{heads}</tr></thead><tbody>{}</tbody></table>
"#,
            (0..classes).map(row).collect::<Vec<_>>().join("\n")
        );
        let mut cards = vec![card(&quality)];
        if classes > 0 {
            let left_out = left_out(classes, all, "classes");
            cards.extend([confusion, per_class].map(|table| card(&(table + &left_out))));
        }
        section("Test", "The kept weights on rows that were in neither training nor validation.", &grid(&cards))
    }
}

/// The cells of a table for loss, accuracy and largest logit.
fn quality_cells(quality: Option<Quality>) -> Vec<String> {
    quality.map_or_else(
        || vec!["–".to_owned(); 3],
        |quality| vec![fixed(quality.loss, 4), percent(quality.accuracy), short(quality.max_logit)],
    )
}

fn section(title: &str, text: &str, content: &str) -> String {
    section_of(title, &format!("<p>{}</p>", escape(text)), content)
}

/// Returns a section whose text is markup.
fn section_of(title: &str, text: &str, content: &str) -> String {
    if content.is_empty() {
        String::new()
    } else {
        format!("<section>\n<h2>{title}</h2>\n{text}\n{content}</section>\n")
    }
}

/// Puts figures beside each other where there is room.
fn grid(figures: &[String]) -> String {
    let figures = figures.concat();
    if figures.is_empty() { figures } else { format!("<div class=\"grid\">\n{figures}</div>\n") }
}

fn card(content: &str) -> String {
    format!("<div class=\"card\">{content}</div>\n")
}

fn table(caption: &str, names: &[String], rows: &[Vec<String>]) -> String {
    let heads: String = names.iter().map(|name| format!(r#"<th scope="col">{}</th>"#, escape(name))).collect();
    let row = |row: &Vec<String>| {
        let cells = row.iter().enumerate().map(|(i, cell)| {
            let cell = escape(cell);
            if i == 0 { format!(r#"<th scope="row">{cell}</th>"#) } else { format!("<td>{cell}</td>") }
        });
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    format!(
        "<table><caption><strong>{caption}</strong></caption><thead><tr>{heads}</tr></thead><tbody>\n{}</tbody></table>\n",
        rows.iter().map(row).collect::<String>()
    )
}

/// Returns a note for a table or a chart that does not show everything.
fn left_out(shown: usize, all: usize, what: &str) -> String {
    if shown == all {
        return String::new();
    }
    format!("<p class=\"soft\">Left out here: {} of {} {what}.</p>\n", thousands(all - shown), thousands(all))
}

fn percent(part: f64) -> String {
    if part.abs() < 1e7 { format!("{:.2} %", 100.0 * part) } else { format!("{} %", scientific(part, 2, 2)) }
}

/// Formats a part as a fraction of a whole; a whole of 0 has no parts.
fn share(part: f64, whole: f64) -> String {
    if whole == 0.0 { "–".to_owned() } else { percent(part / whole) }
}

fn counted(count: usize, what: &str) -> String {
    format!("{} {what}{}", thousands(count), if count == 1 { "" } else { "s" })
}

/// Groups digits by three, with thin spaces.
fn thousands(number: impl Display) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

fn duration(seconds: f64) -> String {
    // The seconds are rounded only once, so that the result never shows 60 seconds.
    let whole = seconds.round() as u64;
    match whole {
        10_000_000_000.. => format!("{} s", short(seconds)),
        0..60 => format!("{} s", short(seconds)),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// Formats a time as day and time in UTC.
fn date(unix_time: u64) -> String {
    // The calculation lets years begin with March, so that they end with the leap day;
    // the count of days begins with such a year 0.
    let days = unix_time / 86400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (400 * era + year, month + 3) } else { (400 * era + year + 1, month - 9) };
    let minutes = unix_time / 60 % 1440;
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", minutes / 60, minutes % 60)
}

/// Returns the median; of two middle values, the lower.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
}
