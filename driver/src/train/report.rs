//! A page of HTML that shows a run: one file without scripts, charts in it, which is well-formed XML too.

mod chart;

use chart::{Chart, Limit, Line, Scale, Stroke};

use super::log::{ClientEvent, Phase, Quality, ServerEvent, latest};
use crate::cli::table::bytes;

const STYLE: &str = include_str!("report/style.css");

/// The page. What there are no events for is left out: the client's, for one, stay with the client. Of steps that were done again after a
/// resumption the later ones count.
#[must_use]
pub fn report(server: &[ServerEvent], client: &[ClientEvent]) -> String {
    let run = Run::new(server, client);
    // These have one chart each: two beside each other.
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

/// The events of a run by kind, the latest ones.
#[derive(Default)]
struct Run<'a> {
    /// Seconds since 1970 at the first start.
    begun: Option<u64>,
    /// The last [`ServerEvent::Start`].
    start: Option<&'a ServerEvent>,
    /// Steps done before each continuation.
    resumed: Vec<usize>,
    steps: Vec<Step<'a>>,
    validation_seconds: f64,
    /// Seconds and bytes.
    checkpoints: Vec<(f64, u64)>,
    /// A [`ServerEvent::End`] that nothing follows.
    end: Option<&'a ServerEvent>,
    weights: Vec<Weights>,
    /// By epoch.
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
    twin: Option<Quality>,
    exact: Option<Quality>,
}

impl<'a> Run<'a> {
    fn new(server: &'a [ServerEvent], client: &'a [ClientEvent]) -> Self {
        let mut run = Self::default();
        for event in latest(server) {
            match event {
                &ServerEvent::Start { unix_time, first_step, .. } => {
                    run.begun = run.begun.or(Some(unix_time));
                    (run.start, run.end) = (Some(event), None);
                    run.resumed.extend((first_step > 0).then_some(first_step));
                }
                &ServerEvent::Step { epoch, step, seconds, ref phases, memory_bytes, .. } => {
                    run.steps.push(Step { epoch, step, seconds, phases, memory_bytes });
                }
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
                ClientEvent::Validation { epoch, step, encrypted, twin, exact, .. } => {
                    run.validations.push(Validation { epoch, step, encrypted, twin, exact });
                }
                ClientEvent::Test { .. } => run.test = Some(event),
            }
        }
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

    /// The largest memory, 0 if there are no events that tell.
    fn peak_bytes(&self) -> usize {
        let end = match self.end {
            Some(&ServerEvent::End { peak_memory_bytes, .. }) => peak_memory_bytes,
            _ => 0,
        };
        self.steps.iter().map(|step| step.memory_bytes).fold(end, usize::max)
    }

    /// The first epoch with the smallest loss of those whose logits stayed within the range of the softmax, beyond
    /// which it is wrong.
    fn best_epoch(&self) -> Option<usize> {
        let Some(&ServerEvent::Start { logit_range, .. }) = self.start else { return None };
        let right = |v: &&Validation| v.epoch > 0 && v.encrypted.max_logit <= logit_range && !v.encrypted.loss.is_nan();
        let right = self.validations.iter().filter(right);
        right.min_by(|a, b| a.encrypted.loss.total_cmp(&b.encrypted.loss)).map(|validation| validation.epoch)
    }

    /// Whether the client followed the run and had nothing to validate with.
    fn has_no_validation(&self) -> bool {
        self.validations.is_empty() && !(self.weights.is_empty() && self.test.is_none())
    }

    /// Title, warnings, facts.
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
            let [preset, mode] = [preset, mode].map(|text| escape(text));
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
            let loss = format!("loss {:.4}", encrypted.loss);
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
            let after: Vec<String> = self.resumed.iter().map(ToString::to_string).collect();
            facts.push(("Resumed", counted(self.resumed.len(), "time"), format!("after step {}", after.join(", "))));
        }
        if let Some(ServerEvent::End { reason, .. }) = self.end {
            facts.push(("End", reason.clone(), String::new()));
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

    /// Loss and accuracy by epoch.
    fn validation(&self) -> String {
        let Some(last) = self.validations.last() else { return String::new() };
        let lines = |value: fn(&Quality) -> f64| {
            let points = |quality: fn(&Validation) -> Option<Quality>| {
                let point = |v: &Validation| Some((v.epoch as f64, value(&quality(v)?)));
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
        let loss = format!("Validation loss by epoch: {:.4} {after}.", last.encrypted.loss);
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
        let rows: Vec<_> = self.validations.iter().map(row).collect();
        let table = table("Validation by epoch", &names, &rows);
        section(
            "Learning",
            "The encrypted model beside the same training in the clear, once with the same approximations (its twin) and once with exact softmax.",
            &format!("{}<details><summary>All numbers</summary>{}</details>\n", grid(&figures), card(&table)),
        )
    }

    /// Loss of the batches.
    fn batches(&self) -> String {
        let (Some(first), Some(last)) = (self.weights.first(), self.weights.last()) else { return String::new() };
        let text = format!(
            "The plain twin's loss on the batch of each step: {:.4} at step {}, {:.4} at step {}.",
            first.loss, first.step, last.loss, last.step
        );
        let chart = Chart {
            title: "Loss on the batch, plain twin",
            description: text.clone(),
            x: "step",
            y: "cross-entropy",
            limit: None,
        };
        let points = self.weights.iter().map(|w| (w.step as f64, w.loss)).collect();
        let line = Line { name: "loss".to_owned(), colour: 1, stroke: Stroke::Thin, points };
        section("Batches", &text, &grid(&[chart.lines(Scale::Near, vec![line])]))
    }

    /// Logits against the domain of the softmax.
    fn logits(&self) -> String {
        let batch: Vec<_> = self.weights.iter().map(|w| (w.step as f64, w.max_logit)).collect();
        let validation: Vec<_> = self.validations.iter().map(|v| (v.step as f64, v.encrypted.max_logit)).collect();
        let all =
            batch.iter().map(|p| (p, "on the batch")).chain(validation.iter().map(|p| (p, "on the validation set")));
        let Some((&(step, largest), place)) = all.max_by(|a, b| a.0.1.total_cmp(&b.0.1)) else { return String::new() };
        let seen = format!("The largest logit is {}, {place} at step {step}", short(largest));
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
                        percent(largest / range),
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
        let line = |name: &str, colour, points| Line { name: name.to_owned(), colour, stroke: Stroke::Thin, points };
        let lines = vec![line("batch, plain twin", 1, batch), line("validation, encrypted", 0, validation)];
        section_of("Logits", &text, &grid(&[chart.lines(Scale::Zero, lines)]))
    }

    /// Names of phases in the order of their first appearance, with the seconds in every step; last what is in no phase, if it is
    /// worth telling.
    fn phase_seconds(&self) -> Vec<(String, Vec<f64>)> {
        let mut series: Vec<(String, Vec<f64>)> = Vec::new();
        for phase in self.steps.iter().flat_map(|step| step.phases) {
            if series.iter().all(|(name, _)| *name != phase.name) {
                let seconds = |step: &Step| in_phase(step, &phase.name).map(|phase| phase.seconds).sum();
                series.push((phase.name.clone(), self.steps.iter().map(seconds).collect()));
            }
        }
        let rest = |step: &Step| (step.seconds - step.phases.iter().map(|phase| phase.seconds).sum::<f64>()).max(0.0);
        let rest: Vec<f64> = self.steps.iter().map(rest).collect();
        if rest.iter().sum::<f64>() > 1e-3 * self.step_seconds() {
            series.push(("outside phases".to_owned(), rest));
        }
        series
    }

    /// Seconds by phase, predicted and measured.
    fn time(&self) -> String {
        let Some(median_step) = self.median_step() else { return String::new() };
        let predicted = match self.start {
            Some(&ServerEvent::Start { predicted_step_seconds, .. }) => Some(predicted_step_seconds),
            _ => None,
        };
        let series = self.phase_seconds();
        let numbers: Vec<usize> = self.steps.iter().map(|step| step.step).collect();
        let chart = Chart {
            title: "Time of every step",
            description: format!("Seconds by step and phase: {} in the median.", short(median_step.seconds)),
            x: "step",
            y: "seconds",
            limit: predicted.map(|value| Limit { name: "predicted".to_owned(), value, exceeded: false }),
        };
        let decimals = if median_step.seconds < 1.0 { 4 } else { 2 };
        // Empty sums are −0.
        let fixed = |seconds: f64| format!("{:.decimals$}", seconds.abs());
        let share = |seconds: f64| percent(seconds / self.step_seconds());
        let row = |(name, seconds): &(String, Vec<f64>)| {
            let bootstraps = |step: &Step| in_phase(step, name).map(|phase| phase.bootstraps as f64).sum();
            let within = |step: &Step| in_phase(step, name).map(|phase| phase.bootstrap_seconds).sum();
            vec![
                name.clone(),
                fixed(median(seconds.iter().copied())),
                share(seconds.iter().sum()),
                short(median(self.steps.iter().map(bootstraps))),
                fixed(median(self.steps.iter().map(within))),
            ]
        };
        let mut rows: Vec<_> = series.iter().map(row).collect();
        let of_steps =
            |value: fn(&Phase) -> f64| median(self.steps.iter().map(|step| step.phases.iter().map(value).sum()));
        rows.push(vec![
            "whole step".to_owned(),
            fixed(median_step.seconds),
            share(self.step_seconds()),
            short(of_steps(|phase| phase.bootstraps as f64)),
            fixed(of_steps(|phase| phase.bootstrap_seconds)),
        ]);
        let names = ["phase", "seconds", "share", "bootstraps", "seconds in them"].map(String::from);
        let table = table("Medians of a step", &names, &rows);
        let compared = predicted.map_or_else(String::new, |seconds| {
            format!(
                "<p>A step was predicted to take {} s and took {} s in the median: {} of that.</p>",
                short(seconds),
                short(median_step.seconds),
                percent(median_step.seconds / seconds)
            )
        });
        section_of("Time", &compared, &grid(&[chart.stacks(&numbers, &series), card(&table)]))
    }

    /// Levels and scales through a step.
    fn levels(&self) -> String {
        let Some(step) = self.median_step().filter(|step| !step.phases.is_empty()) else { return String::new() };
        let stairs = |title, y, scale, colour, value: fn(&Phase) -> f64| {
            let parts: Vec<_> =
                step.phases.iter().map(|phase| (phase.name.clone(), value(phase), phase.bootstraps)).collect();
            let told: Vec<String> = parts.iter().map(|(name, value, _)| format!("{name} {}", short(*value))).collect();
            let description = format!("At the end of each phase of step {}: {}.", step.step, told.join(", "));
            Chart { title, description, x: "", y, limit: None }.stairs(scale, &parts, colour)
        };
        let text = format!("Step {}, the one of median time: what each phase leaves behind.", step.step);
        let figures = [
            stairs("Level", "level", Scale::Zero, 0, |phase| phase.level as f64),
            stairs("Scale", "log2 of the scale", Scale::Bits, 3, |phase| phase.log_scale),
        ];
        section("Levels", &text, &grid(&figures))
    }

    /// The weights beside those of the twin.
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
        let points = self.weights.iter().map(|w| (w.step as f64, w.difference)).collect();
        let line = Line { name: "difference".to_owned(), colour: 4, stroke: Stroke::Thin, points };
        section("Exactness", &text, &grid(&[chart.lines(Scale::Log, vec![line])]))
    }

    /// Memory by step, predicted and measured.
    fn memory(&self) -> String {
        if self.steps.is_empty() {
            return String::new();
        }
        let peak = self.peak_bytes();
        let predicted = match self.start {
            Some(&ServerEvent::Start { predicted_memory_bytes, .. }) => Some(predicted_memory_bytes),
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
        let points = self.steps.iter().map(|step| (step.step as f64, in_unit(step.memory_bytes))).collect();
        let line = Line { name: "memory".to_owned(), colour: 3, stroke: Stroke::Thin, points };
        let compared = predicted.map_or_else(String::new, |value| {
            let part = percent(peak as f64 / value as f64);
            format!("<p>The peak was predicted at {} and was {}: {part} of that.</p>", bytes(value), bytes(peak))
        });
        section_of("Memory", &compared, &grid(&[chart.lines(Scale::Zero, vec![line])]))
    }

    /// The result.
    fn test(&self) -> String {
        let Some(ClientEvent::Test { encrypted, twin, exact, confusion }) = self.test else { return String::new() };
        let models = [("encrypted", Some(*encrypted)), ("plain twin", *twin), ("exact softmax, plain", *exact)];
        let models = models.into_iter().filter(|(_, quality)| quality.is_some());
        let rows: Vec<_> =
            models.map(|(name, quality)| [vec![name.to_owned()], quality_cells(quality)].concat()).collect();
        let quality = table("On the test set", &["model", "loss", "accuracy", "max |logit|"].map(String::from), &rows);
        let classes = confusion.len();
        let cell = |i: usize, j: usize| confusion[i].get(j).copied().unwrap_or(0);
        let ratio =
            |part: usize, all: usize| if all == 0 { "–".to_owned() } else { percent(part as f64 / all as f64) };
        let rows: Vec<_> = (0..classes)
            .map(|i| {
                let of_class = confusion[i].iter().sum();
                let predicted = (0..classes).map(|j| cell(j, i)).sum();
                let hits = cell(i, i);
                vec![i.to_string(), thousands(of_class), ratio(hits, predicted), ratio(hits, of_class)]
            })
            .collect();
        let per_class = table("By class", &["class", "rows", "precision", "recall"].map(String::from), &rows);
        let heads: String = (0..classes).map(|j| format!(r#"<th scope="col">{j}</th>"#)).collect();
        let row = |i: usize| {
            let all: usize = confusion[i].iter().sum();
            let shaded = |j: usize| {
                let count = cell(i, j);
                let class = if count == 0 {
                    "none"
                } else if i == j {
                    "hit"
                } else {
                    "miss"
                };
                // Of a colour so light that the number can be read.
                let part = 0.1 + 0.5 * count as f64 / all.max(1) as f64;
                format!(r#"<td class="{class}" style="--part:{part:.2}">{count}</td>"#)
            };
            format!(r#"<tr><th scope="row">{i}</th>{}</tr>"#, (0..classes).map(shaded).collect::<String>())
        };
        let confusion = format!(
            r#"<table class="confusion"><caption><strong>Confusion</strong>: rows by true class, columns by predicted class</caption>
<thead><tr><th></th>{heads}</tr></thead><tbody>{}</tbody></table>
"#,
            (0..classes).map(row).collect::<Vec<_>>().join("\n")
        );
        let mut cards = vec![card(&quality)];
        if classes > 0 {
            cards.extend([card(&confusion), card(&per_class)]);
        }
        section("Test", "The kept weights on rows that were in neither training nor validation.", &grid(&cards))
    }
}

fn in_phase<'a>(step: &Step<'a>, name: &str) -> impl Iterator<Item = &'a Phase> {
    step.phases.iter().filter(move |phase| phase.name == name)
}

/// Loss, accuracy, largest logit.
fn quality_cells(quality: Option<Quality>) -> Vec<String> {
    quality.map_or_else(
        || vec!["–".to_owned(); 3],
        |quality| vec![format!("{:.4}", quality.loss), percent(quality.accuracy), short(quality.max_logit)],
    )
}

fn section(title: &str, text: &str, content: &str) -> String {
    section_of(title, &format!("<p>{}</p>", escape(text)), content)
}

/// A section whose text is markup.
fn section_of(title: &str, text: &str, content: &str) -> String {
    if content.is_empty() {
        String::new()
    } else {
        format!("<section>\n<h2>{title}</h2>\n{text}\n{content}</section>\n")
    }
}

/// Figures beside each other where there is room.
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

/// Text as markup; characters that XML does not have are replaced.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\t' | '\n' => escaped.push(c),
            '\0'..'\u{20}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// Three digits, without zeros at the end of a fraction.
fn short(value: f64) -> String {
    let magnitude = value.abs();
    if value == 0.0 {
        // Empty sums are −0.
        return "0".to_owned();
    }
    if !value.is_finite() {
        return value.to_string();
    }
    if !(1e-3..1e6).contains(&magnitude) {
        return format!("{value:.2e}");
    }
    let decimals = (2.0 - magnitude.log10().floor()).max(0.0) as usize;
    let text = format!("{value:.decimals$}");
    if decimals == 0 { text } else { text.trim_end_matches('0').trim_end_matches('.').to_owned() }
}

fn percent(part: f64) -> String {
    format!("{:.2} %", 100.0 * part)
}

fn counted(count: usize, what: &str) -> String {
    format!("{} {what}{}", thousands(count), if count == 1 { "" } else { "s" })
}

/// Groups of three digits, with thin spaces.
fn thousands(number: usize) -> String {
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
    // Rounded once, so that there are no 60 seconds.
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{} s", short(seconds)),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// Day and time in UTC.
fn date(unix_time: u64) -> String {
    // Years that begin with March end with the leap day; the count begins with such a year 0.
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

/// The middle one; the lower of two.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
}
