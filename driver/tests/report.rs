//! Tests of the logs of a run, and of the page made from them.

use std::fs;
use std::path::PathBuf;

use hetal::Error;
use hetal::train::log::{ClientEvent, Event, Phase, Quality, ServerEvent, Writer, latest, read};
use hetal::train::report;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use roxmltree::{Document, Node, ParsingOptions};
use serde_json::{Value, json};

const STEPS_PER_EPOCH: usize = 6;

/// A file that is removed on drop.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("hetal-{}-{name}.jsonl", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn start(preset: &str, first_step: usize) -> ServerEvent {
    ServerEvent::Start {
        unix_time: 1_709_164_800 + 7200 * first_step as u64,
        preset: preset.to_owned(),
        insecure: preset.starts_with("test"),
        mode: "fast".to_owned(),
        rows: 5616,
        features: 196,
        classes: 4,
        batch: 1024,
        steps_per_epoch: STEPS_PER_EPOCH,
        epochs: 22,
        logit_range: 32.0,
        key_bytes: 2_345_678_901,
        predicted_step_seconds: 27.5,
        predicted_memory_bytes: 13 << 30,
        first_step,
        threads: 2,
    }
}

/// Returns a number from −1 to 1 that is the same every time.
fn noise(i: usize) -> f64 {
    (i as f64 * 12.9898).sin()
}

fn step(number: usize) -> ServerEvent {
    let parts = [
        ("load", 0.4, 0, 5, 45.0),
        ("weights", 1.3, 0, 8, 44.98),
        ("logits", 5.2, 0, 7, 44.98),
        ("softmax", 9.6, 2, 6, 45.02),
        ("errors", 0.3, 0, 5, 45.0),
        ("gradient", 4.1, 0, 3, 45.0),
        ("update", 0.5, 0, 2, 44.99),
        ("refresh", 6.8, 1, 10, 45.0),
    ];
    let phases: Vec<Phase> = parts
        .iter()
        .enumerate()
        .map(|(i, &(name, seconds, bootstraps, level, log_scale))| Phase {
            name: name.to_owned(),
            seconds: seconds * (1.0 + 0.06 * noise(10 * number + i)),
            bootstrap_seconds: 3.1 * bootstraps as f64,
            bootstraps,
            level,
            log_scale,
        })
        .collect();
    ServerEvent::Step {
        epoch: (number - 1) / STEPS_PER_EPOCH + 1,
        step: number,
        rows: 1024,
        seconds: phases.iter().map(|phase| phase.seconds).sum::<f64>() + 0.1,
        phases,
        bootstraps: 3,
        level: 10,
        log_scale: 45.0,
        memory_bytes: (11 << 30) + (number.min(9) << 26),
    }
}

fn server(steps: usize, end: bool) -> Vec<ServerEvent> {
    let mut events = vec![start("n16", 0)];
    for number in 1..=steps {
        events.push(step(number));
        if number % STEPS_PER_EPOCH == 0 {
            let epoch = number / STEPS_PER_EPOCH;
            events.push(ServerEvent::Epoch { epoch, seconds: 170.0, validation_seconds: 11.0, go_on: true });
            events.push(ServerEvent::Checkpoint { step: number, seconds: 0.21, bytes: 345 << 20 });
        }
    }
    if end {
        events.push(ServerEvent::End {
            steps,
            epochs: steps.div_ceil(STEPS_PER_EPOCH),
            seconds: 4012.0,
            peak_memory_bytes: 12_945_678_901,
            reason: "stopped by the client".to_owned(),
        });
    }
    events
}

fn quality(epoch: usize, offset: f64) -> Quality {
    let t = epoch as f64;
    Quality {
        loss: 0.18 + 1.2 * (-t / 5.0).exp() + 0.01 * offset + 0.004 * noise(epoch),
        accuracy: 0.9642 - 0.4 * (-t / 4.0).exp() - 0.003 * offset,
        max_logit: 17.0 * (1.0 - (-t / 9.0).exp()),
    }
}

fn client(steps: usize) -> Vec<ClientEvent> {
    let mut events = Vec::new();
    for step in 1..=steps {
        let t = step as f64;
        events.push(ClientEvent::Weights {
            step,
            difference: 3e-6 * t.sqrt() * (1.0 + 0.5 * noise(step)),
            max_weight: 0.3,
            max_logit: 18.5 * (1.0 - (-t / 50.0).exp()) + noise(step),
            loss: 0.15 + 1.2 * (-t / 30.0).exp() + 0.03 * noise(3 * step),
        });
        if step % STEPS_PER_EPOCH == 0 {
            let epoch = step / STEPS_PER_EPOCH;
            events.push(ClientEvent::Validation {
                epoch,
                step,
                encrypted: quality(epoch, 0.0),
                max_logit_w: None,
                max_logit_rows: None,
                twin: Some(quality(epoch, 0.02)),
                exact: Some(quality(epoch, -1.0)),
                go_on: true,
            });
        }
    }
    events.push(ClientEvent::Test {
        encrypted: Quality { loss: 0.2125, accuracy: 0.9571, max_logit: 17.25 },
        twin: Some(Quality { loss: 0.2126, accuracy: 0.9570, max_logit: 17.24 }),
        exact: Some(Quality { loss: 0.2101, accuracy: 0.9585, max_logit: 16.5 }),
        confusion: vec![vec![190, 6, 3, 1], vec![4, 380, 0, 0], vec![10, 0, 240, 0], vec![0, 3, 0, 97]],
        class_names: None,
    });
    events
}

/// Checks that the page is well-formed, has titles for its charts and tables, and contains nothing
/// that is not finite.
fn checked<T>(page: &str, check: impl FnOnce(&Document) -> T) -> T {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    let document = Document::parse_with_options(page, options).expect("well-formed");
    for svg in elements(&document, "svg").filter(|svg| svg.attribute("role") == Some("img")) {
        assert!(svg.children().any(|child| child.has_tag_name((SVG, "title"))));
        assert!(svg.children().any(|child| child.has_tag_name((SVG, "desc"))));
    }
    assert!(elements(&document, "table").all(|table| table.children().any(|c| c.tag_name().name() == "caption")));
    assert!(!page.contains("NaN") && !page.contains("inf") && !page.contains("<script"), "{page}");
    assert!(!page.contains("http://") || page.matches("http://").count() == page.matches("http://www.w3.org/").count());
    check(&document)
}

const SVG: &str = "http://www.w3.org/2000/svg";

fn elements<'a>(document: &'a Document, name: &'a str) -> impl Iterator<Item = Node<'a, 'a>> {
    document.descendants().filter(move |node| node.is_element() && node.tag_name().name() == name)
}

fn text(node: Node) -> String {
    node.descendants().filter_map(|node| if node.is_text() { node.text() } else { None }).collect()
}

fn headings(document: &Document) -> Vec<String> {
    elements(document, "h2").map(text).collect()
}

/// Returns the text that the head of the page has for a name.
fn fact(document: &Document, name: &str) -> String {
    let term = elements(document, "dt").find(|dt| text(*dt) == name).expect("the fact");
    text(term.next_sibling_element().expect("a value"))
}

/// The page of a complete run has all its sections, facts and figures.
#[test]
fn complete_run() {
    let page = report(&server(132, true), &client(132));
    checked(&page, |document| {
        let all = ["Learning", "Batches", "Logits", "Exactness", "Memory", "Time", "Levels", "Test"];
        assert_eq!(headings(document), all);
        assert_eq!(fact(document, "Training set"), "5\u{202f}616 × 196rows × features, 4 classes");
        assert_eq!(fact(document, "Steps"), "132in 22 epochs");
        assert_eq!(fact(document, "Total time"), "1 h 06 minvalidation 4 min 02 s");
        assert!(fact(document, "Seconds per step").starts_with("28.3 smedian; all steps 1 h 02 min"));
        assert_eq!(fact(document, "Best epoch"), "22least validation loss");
        assert_eq!(fact(document, "Peak memory"), "12.06 GiBof the server");
        assert_eq!(fact(document, "Evaluation keys"), "2.18 GiBheld by the server");
        assert_eq!(fact(document, "Test accuracy"), "95.71 %loss 0.2125");
        assert_eq!(fact(document, "Checkpoint"), "345.0 MiB0.21 s to write; 22 files written");
        assert_eq!(fact(document, "End"), "stopped by the client");
        let tables: Vec<_> = elements(document, "table").map(|table| (table, text(table))).collect();
        assert_eq!(tables.len(), 5);
        // Precision and recall of class 0: 190 of 204 and 190 of 200.
        assert!(tables[4].1.contains("020093.14 %95.00 %"), "{}", tables[4].1);
        assert_eq!(elements(document, "figure").count(), 9);
        let softmax = elements(document, "tr").map(text).find(|row| row.starts_with("softmax")).expect("a row");
        assert!(softmax.ends_with("26.20"), "{softmax}");
    });
    for wanted in
        ["128-bit secure", "Begun 2024-02-29 00:00 UTC", "preset n16", "mode fast", "22 (best)", "margin of 14.1"]
    {
        assert!(page.contains(wanted), "{wanted}");
    }
    assert!(!page.contains(r#"class="bad""#));
}

/// The page of the server's log alone.
#[test]
fn server_alone() {
    checked(&report(&server(132, true), &[]), |document| {
        assert_eq!(headings(document), ["Memory", "Time", "Levels"]);
    });
}

/// The page of the client's log alone, and of no log.
#[test]
fn client_alone() {
    checked(&report(&[], &client(132)), |document| {
        assert_eq!(headings(document), ["Learning", "Batches", "Logits", "Exactness", "Test"]);
    });
    checked(&report(&[], &[]), |document| assert_eq!(elements(document, "h1").count(), 1));
}

/// Steps that were repeated after a resumption replace the earlier ones.
#[test]
fn resumed_run() {
    let mut events = server(10, true);
    let mut again = step(9);
    if let ServerEvent::Step { seconds, .. } = &mut again {
        *seconds = 1000.0;
    }
    events.extend([start("n16", 8), again, step(10), step(11)]);
    let kept: Vec<usize> = latest(&events)
        .iter()
        .filter_map(|event| if let ServerEvent::Step { step, .. } = event { Some(*step) } else { None })
        .collect();
    assert_eq!(kept, (1..=11).collect::<Vec<_>>());
    let page = report(&events, &[]);
    checked(&page, |document| {
        assert_eq!(fact(document, "Resumed"), "1 timeafter step 8");
        // The end before the resumption does not count.
        assert_eq!(fact(document, "End"), "none yetstill running, or cut off");
        assert_eq!(fact(document, "Steps"), "11in 2 epochs");
        let hovers = elements(document, "rect").filter(|rect| rect.attribute("class") == Some("hover"));
        let told: Vec<_> = hovers.map(text).filter(|told| told.starts_with("step 9:")).collect();
        assert_eq!(told, ["step 9: 1000 seconds"]);
    });
    // Epochs and steps of the same number are not confused.
    assert_eq!(latest(&server(132, true)).len(), server(132, true).len());
}

/// The page of a run without an end.
#[test]
fn interrupted_run() {
    let mut client = client(20);
    client.pop();
    checked(&report(&server(20, false), &client), |document| {
        assert_eq!(fact(document, "End"), "none yetstill running, or cut off");
        assert_eq!(fact(document, "Best epoch"), "3so far");
        assert_eq!(fact(document, "Steps"), "20in 4 epochs");
        assert!(!headings(document).contains(&"Test".to_owned()));
    });
}

/// The page of a single step, and of none.
#[test]
fn one_step() {
    let mut client = client(6);
    client.drain(1..6);
    checked(&report(&server(1, false), &client), |document| {
        assert_eq!(fact(document, "Steps"), "1in 1 epoch");
        assert_eq!(elements(document, "figure").count(), 9);
    });
    checked(&report(&server(0, false), &[]), |document| assert!(headings(document).is_empty()));
}

/// A logit beyond the range is reported with its step and place.
#[test]
fn logits_beyond_the_domain() {
    let mut client = client(12);
    if let ClientEvent::Weights { max_logit, .. } = &mut client[4] {
        *max_logit = 35.5;
    }
    let page = report(&server(12, true), &client);
    checked(&page, |_| ());
    assert!(page.contains(r#"<p class="bad">The largest logit is 35.5 at step 5 (batch, plain twin): 3.5 beyond ±32"#));
    // The logit is of W on validation rows, or of the batches by epoch, where steps are not in the
    // log.
    for (w, rows, place) in [(36.5, 33.0, "validation, encrypted W"), (33.0, 36.5, "batches until then, plain twin")] {
        let mut client = self::client(12);
        client.retain(|event| !matches!(event, ClientEvent::Weights { .. }));
        if let ClientEvent::Validation { max_logit_w, max_logit_rows, .. } = &mut client[1] {
            (*max_logit_w, *max_logit_rows) = (Some(w), Some(rows));
        }
        let page = report(&server(12, true), &client);
        checked(&page, |_| ());
        assert!(page.contains(&format!("The largest logit is 36.5 at step 12 ({place}): 4.5 beyond ±32")), "{place}");
    }
}

/// Names of classes are in the tables, escaped and cut to 80 characters.
#[test]
fn names_of_classes() {
    let mut client = client(12);
    if let Some(ClientEvent::Test { class_names, .. }) = client.last_mut() {
        let long = "x".repeat(1000);
        *class_names = Some(["cat", "dog & <b>bird</b>", &long, "\u{202e}fish"].map(str::to_owned).to_vec());
    }
    checked(&report(&server(12, true), &client), |document| {
        let tables: Vec<_> = elements(document, "table").map(text).collect();
        let [confusion, per_class] = &tables[tables.len() - 2..] else { panic!("{tables:?}") };
        assert!(per_class.contains("cat20093.14 %95.00 %"), "{per_class}");
        for table in [confusion, per_class] {
            assert!(table.contains("dog & <b>bird</b>") && table.contains("\u{fffd}fish"), "{table}");
            assert!(table.contains(&format!("{}…", "x".repeat(80))) && !table.contains(&"x".repeat(81)), "{table}");
        }
    });
}

/// Strings that look like HTML are shown as text.
#[test]
fn hostile_strings() {
    let hostile = "test</style><script>alert('1')</script>\"&\u{0}\u{1b}]]>";
    let mut events = vec![start(hostile, 0), step(1)];
    if let ServerEvent::Start { mode, .. } = &mut events[0] {
        *mode = hostile.to_owned();
    }
    if let ServerEvent::Step { phases, .. } = &mut events[1] {
        phases[0].name = hostile.to_owned();
        phases[3].name = hostile.to_owned();
    }
    let reason = hostile.to_owned();
    let (steps, epochs, seconds, peak_memory_bytes) = (1, 1, 1.0, 1);
    events.push(ServerEvent::End { steps, epochs, seconds, peak_memory_bytes, reason });
    let page = report(&events, &[]);
    checked(&page, |document| {
        assert_eq!(fact(document, "End"), hostile.replace(['\u{0}', '\u{1b}'], "\u{fffd}"));
    });
    assert!(page.contains(r#"<span class="bad">INSECURE</span>"#));
}

/// The size in bytes that no page exceeds.
const MOST: usize = 2 << 20;

/// Returns the events with all numbers that are not integers, or all that are, replaced.
fn filled<E: Event>(events: &[E], float: Option<f64>, count: Option<usize>) -> Vec<E> {
    fn fill(value: &mut Value, float: Option<f64>, count: Option<usize>) {
        match value {
            Value::Number(number) => {
                let new = if number.is_f64() { float.map(Value::from) } else { count.map(Value::from) };
                *value = new.unwrap_or_else(|| number.clone().into());
            }
            Value::Array(values) => values.iter_mut().for_each(|value| fill(value, float, count)),
            Value::Object(fields) => fields.values_mut().for_each(|value| fill(value, float, count)),
            _ => (),
        }
    }
    let mut value = serde_json::to_value(events).expect("events");
    fill(&mut value, float, count);
    serde_json::from_value(value).expect("events")
}

/// Returns the chart of this title.
fn chart<'a>(document: &'a Document, title: &str) -> Node<'a, 'a> {
    let own = |svg: &Node| svg.first_element_child().is_some_and(|child| text(child) == title);
    elements(document, "svg").find(own).expect("the chart")
}

/// Returns the labels beside its vertical axis.
fn labels(chart: Node) -> Vec<String> {
    let beside = chart.children().filter(|node| node.has_tag_name((SVG, "text")) && node.attribute("x") == Some("47"));
    beside.map(text).collect()
}

/// Returns the heights, from above, of the points of its first line.
fn heights(chart: Node) -> Vec<f64> {
    let line = chart.children().find(|node| node.attribute("class").is_some_and(|class| class.starts_with("line")));
    let path = line.and_then(|line| line.attribute("d")).expect("a line");
    path[1..].split('L').map(|point| point.split_once(' ').expect("x and y").1.parse().expect("a number")).collect()
}

fn has_fact(document: &Document, name: &str) -> bool {
    elements(document, "dt").any(|dt| text(dt) == name)
}

/// The smallest positive number in all places is drawn and printed.
#[test]
fn smallest_numbers() {
    let tiny = Some(5e-324);
    let page = report(&filled(&server(6, true), tiny, None), &filled(&client(6), tiny, None));
    checked(&page, |document| {
        assert_eq!(fact(document, "Seconds per step"), "4.94e-324 smedian; all steps 2.96e-323 s");
        assert_eq!(fact(document, "Test accuracy"), "0.00 %loss 0.0000");
        // 5e-324 is a name of 2^-1074 = 4.94…e-324.
        let logits = chart(document, "Largest magnitude of a logit");
        assert_eq!(labels(logits), ["0", "1e-324", "2e-324", "3e-324", "4e-324", "5e-324"]);
        assert_eq!(heights(logits), [30.4; 6]);
        let difference = chart(document, "Largest difference of a weight from the twin");
        assert_eq!(labels(difference), ["10⁻³²⁴", "10⁻³²³"]);
        assert_eq!(heights(difference), [91.1; 6]);
    });
    assert!(page.contains("A step was predicted to take 4.94e-324 s and took 4.94e-324 s in the median: 100.00 %"));
    assert!(page.contains("100.00 % of the softmax's domain of ±4.94e-324, which leaves a margin of 0."));
}

/// The largest numbers in all places are drawn and printed.
#[test]
fn largest_numbers() {
    let mut client = filled(&client(6), Some(1e308), None);
    for event in client.iter_mut().skip(1).step_by(2) {
        if let ClientEvent::Weights { loss, .. } = event {
            *loss = -1e308;
        }
    }
    let page = report(&filled(&server(6, true), Some(1e308), None), &client);
    checked(&page, |document| {
        assert_eq!(fact(document, "Total time"), "1.00e308 svalidation 1.00e308 s");
        // Twice as much is more than a number can be.
        assert_eq!(fact(document, "Seconds per step"), "1.00e308 smedian; all steps ∞ s");
        assert_eq!(fact(document, "Test accuracy"), "1e310 %loss 1.00e308");
        let loss = chart(document, "Loss on the batch, plain twin");
        assert_eq!(labels(loss), ["-1e308", "-5e307", "0", "5e307", "1e308"]);
        assert_eq!(heights(loss), [28.0, 234.0, 28.0, 234.0, 28.0, 234.0]);
        let logits = chart(document, "Largest magnitude of a logit");
        assert_eq!(labels(logits), ["0", "5e307", "1e308", "1.5e308"]);
        assert_eq!(heights(logits), [96.7; 6]);
    });
    assert!(page.contains("1.00e308 at step 1, -1.00e308 at step 6"));
    assert!(page.contains("100.00 % of the softmax's domain of ±1.00e308, which leaves a margin of 0."));
}

/// The largest integers in all places are drawn and printed.
#[test]
fn largest_counts() {
    let most = Some(usize::MAX);
    let page = report(&filled(&server(6, true), None, most), &filled(&client(6), None, most));
    let grouped = "18\u{202f}446\u{202f}744\u{202f}073\u{202f}709\u{202f}551\u{202f}615";
    checked(&page, |document| {
        let shape = format!("{grouped} × 18446744073709551615rows × features, 18446744073709551615 classes");
        assert_eq!(fact(document, "Training set"), shape);
        assert_eq!(fact(document, "Steps"), format!("{grouped}in {grouped} epochs"));
        assert_eq!(fact(document, "Best epoch"), "18446744073709551615least validation loss");
        assert_eq!(fact(document, "Peak memory"), "17179869184.00 GiBof the server");
        assert_eq!(fact(document, "Resumed"), "1 timeafter step 18446744073709551615");
        let tables: Vec<_> = elements(document, "table").map(text).collect();
        // There are four times as many rows of each class, of which a fourth is right.
        let row = "073\u{202f}786\u{202f}976\u{202f}294\u{202f}838\u{202f}206\u{202f}46025.00 %25.00 %";
        assert!(tables[4].contains(row), "{}", tables[4]);
        let time = chart(document, "Time of every step");
        let told = time.descendants().find(|node| node.attribute("class") == Some("hover")).map(text);
        assert!(told.is_some_and(|told| told.starts_with("step 18446744073709551615: ")));
        let logits = chart(document, "Largest magnitude of a logit");
        assert!(logits.children().map(text).any(|label| label == "18446744073709551615"));
    });
    assert!(page.contains("Begun 584554051223-11-09 07:00 UTC"));
}

/// Steps whose numbers are equal as floats have places of their own.
#[test]
fn counts_next_to_each_other() {
    // All are the same number in 53 bits.
    let ends = [0, usize::MAX - 2, usize::MAX - 1, usize::MAX];
    for ends in [&ends[..], &ends[1..], &ends[2..]] {
        let mut events = vec![start("n16", 0)];
        let mut weights = client(ends.len());
        for (i, &number) in ends.iter().enumerate() {
            let mut event = step(i + 1);
            if let ServerEvent::Step { step, memory_bytes, .. } = &mut event {
                (*step, *memory_bytes) = (number, number);
            }
            events.push(event);
            if let ClientEvent::Weights { step, .. } = &mut weights[i] {
                *step = number;
            }
        }
        checked(&report(&events, &weights), |document| {
            let time = chart(document, "Time of every step");
            let hovers = time.descendants().filter(|node| node.attribute("class") == Some("hover"));
            let told: Vec<_> = hovers.map(|hover| text(hover)).collect();
            assert_eq!(told.len(), ends.len());
            assert!(told.iter().zip(ends).all(|(told, end)| told.starts_with(&format!("step {end}: "))), "{told:?}");
        });
    }
}

/// NaN and infinities in all places still make a page without them.
#[test]
fn what_is_no_number() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut server = server(6, true);
        let mut client = client(6);
        for event in &mut server {
            match event {
                ServerEvent::Start { logit_range, predicted_step_seconds, .. } => {
                    (*logit_range, *predicted_step_seconds) = (value, value);
                }
                ServerEvent::Step { seconds, phases, .. } => {
                    *seconds = value;
                    (phases[0].seconds, phases[1].log_scale, phases[2].bootstrap_seconds) = (value, value, value);
                }
                ServerEvent::Epoch { validation_seconds, .. } => *validation_seconds = value,
                ServerEvent::Checkpoint { seconds, .. } | ServerEvent::End { seconds, .. } => *seconds = value,
            }
        }
        for event in &mut client {
            match event {
                ClientEvent::Weights { difference, max_logit, loss, .. } => {
                    (*difference, *max_logit, *loss) = (value, value, value);
                }
                ClientEvent::Validation { encrypted, twin, .. } | ClientEvent::Test { encrypted, twin, .. } => {
                    *encrypted = Quality { loss: value, accuracy: value, max_logit: value };
                    *twin = Some(*encrypted);
                }
            }
        }
        checked(&report(&server, &client), |_| ());
    }
}

/// A run of 50,000 steps makes a small page that shows its extreme values.
#[test]
fn many_steps() {
    const STEPS: usize = 50_000;
    let mut server = server(STEPS, true);
    let mut client = client(STEPS);
    for event in &mut server {
        if let ServerEvent::Step { step: 33_333, seconds, .. } = event {
            *seconds = 1000.0;
        }
    }
    for (i, value) in [(12_344, 100.0), (43_210, -100.0)] {
        let weights = client.iter_mut().filter_map(|event| match event {
            ClientEvent::Weights { step, loss, .. } if *step == i => Some(loss),
            _ => None,
        });
        weights.for_each(|loss| *loss = value);
    }
    let page = report(&server, &client);
    assert!(page.len() < MOST / 4, "{}", page.len());
    checked(&page, |document| {
        let heights = heights(chart(document, "Loss on the batch, plain twin"));
        assert!(heights.len() <= 1920 && heights.contains(&28.0) && heights.contains(&234.0), "{}", heights.len());
        // There are at most 480 stretches, of 105 steps each.
        let time = chart(document, "Time of the longest of every 105 steps");
        let hovers = time.descendants().filter(|node| node.attribute("class") == Some("hover"));
        let told: Vec<_> = hovers.map(|hover| text(hover)).collect();
        assert_eq!(told.len(), 477);
        let longest = "step 33333, the longest from 33286 to 33390: 1000 seconds";
        assert!(told.iter().any(|told| told == longest), "{told:?}");
        assert_eq!(fact(document, "Steps"), "50\u{202f}000in 8\u{202f}334 epochs");
    });
    // The table has the first and the last hundred of 8333 epochs, and the best one.
    assert!(page.contains("Left out here: 8\u{202f}132 of 8\u{202f}333 epochs."));
}

/// The best epoch of a long run is in the table.
#[test]
fn best_epoch_of_a_long_run() {
    let mut client = client(6 * 1000);
    for event in &mut client {
        if let ClientEvent::Validation { epoch: 500, encrypted, .. } = event {
            encrypted.loss = 0.01;
        }
    }
    let page = report(&server(6000, true), &client);
    checked(&page, |document| assert_eq!(fact(document, "Best epoch"), "500least validation loss"));
    assert!(page.contains("500 (best)") && page.contains("Left out here: 799 of 1\u{202f}000 epochs."));
}

/// A step with 100,000 phases makes a small page.
#[test]
fn many_names() {
    let mut events = vec![start("n16", 0), step(1)];
    let ServerEvent::Step { phases, .. } = &mut events[1] else { unreachable!("a step") };
    let phase = phases[0].clone();
    phases.extend((0..100_000).map(|i| Phase { name: format!("phase {i}"), seconds: 1e-4, ..phase.clone() }));
    phases[2].name = "x".repeat(1 << 20);
    let page = report(&events, &[]);
    assert!(page.len() < MOST / 8, "{}", page.len());
    checked(&page, |document| {
        let rows: Vec<_> = elements(document, "tr").map(text).collect();
        // The 8 phases and the first 11 of the equal ones have rows of their own.
        assert!(rows.iter().any(|row| row.starts_with("99\u{202f}989 other phases10.")), "{rows:?}");
        assert!(rows.iter().any(|row| row.starts_with(&format!("{}…", "x".repeat(80)))));
        assert_eq!(rows.len(), 1 + 20 + 1);
    });
    assert!(page.contains("Left out here: 99\u{202f}976 of 100\u{202f}008 phases."));
}

/// Confusion matrices of any shape make tables.
#[test]
fn confusions_of_any_shape() {
    let shapes: [(Vec<Vec<usize>>, _); 5] = [
        // Class 0 has two rows, one of which is taken for class 2, which has none.
        (vec![vec![1, 0, 1], vec![0, 3]], Some("0101")),
        (vec![vec![], vec![], vec![7]], Some("27–0.00 %")),
        (vec![vec![]], Some("00––")),
        (vec![], None),
        (vec![vec![1; 1000]; 1000], Some("991\u{202f}0000.10 %0.10 %")),
    ];
    for (shape, wanted) in shapes {
        let mut client = client(0);
        if let Some(ClientEvent::Test { confusion, .. }) = client.last_mut() {
            *confusion = shape.clone();
        }
        let page = report(&[], &client);
        assert!(page.len() < MOST / 2, "{}", page.len());
        checked(&page, |document| {
            let rows: Vec<_> = elements(document, "tr").map(text).collect();
            assert!(wanted.is_none_or(|wanted| rows.iter().any(|row| row.contains(wanted))), "{shape:?}: {rows:?}");
        });
        assert_eq!(
            page.matches("Left out here: 900 of 1\u{202f}000 classes.").count(),
            if shape.len() > 3 { 2 } else { 0 }
        );
    }
}

/// Control characters in names are replaced, and long names cut.
#[test]
fn names_do_not_act_on_the_page() {
    let name = "a\u{202e}b\u{2066}c\u{9b}31m\u{7f}\r\u{61c}";
    let mut events = server(1, true);
    for event in &mut events {
        match event {
            ServerEvent::Start { preset, mode, .. } => (*preset, *mode) = (name.to_owned(), "m".repeat(1 << 20)),
            ServerEvent::Step { phases, .. } => phases[0].name = name.to_owned(),
            ServerEvent::End { reason, .. } => *reason = "ü".repeat(1 << 20),
            _ => (),
        }
    }
    let page = report(&events, &[]);
    checked(&page, |document| assert_eq!(fact(document, "End"), "ü".repeat(80) + "…"));
    assert!(page.contains("preset a\u{fffd}b\u{fffd}c\u{fffd}31m\u{fffd}\u{fffd}\u{fffd}</span>"));
    assert!(page.contains(&format!("mode {}…</span>", "m".repeat(80))));
    assert!(!page.contains(|c: char| c.is_control() && c != '\n' || "\u{202e}\u{2066}\u{61c}".contains(c)));
}

/// The best epoch is the best of those whose logits are within the range.
#[test]
fn best_epoch_is_one_within_the_range() {
    let mut client = client(18);
    let mut loss = 0.1;
    for event in &mut client {
        if let ClientEvent::Validation { epoch, encrypted, .. } = event {
            // The range is 32.
            (encrypted.loss, encrypted.max_logit) = (loss, [0.0, 31.5, 32.0, 32.01][*epoch]);
            loss /= 2.0;
        }
    }
    let page = report(&server(18, true), &client);
    checked(&page, |document| assert_eq!(fact(document, "Best epoch"), "2least validation loss"));
    assert!(page.contains("2 (best)") && !page.contains("3 (best)"));
    for event in &mut client {
        if let ClientEvent::Validation { encrypted, .. } = event {
            encrypted.max_logit = 33.0;
        }
    }
    let page = report(&server(18, true), &client);
    checked(&page, |document| assert!(!has_fact(document, "Best epoch")));
    assert!(!page.contains("(best)"));
}

/// Without a validation, the result is that of the last epoch.
#[test]
fn run_without_validation() {
    let mut server = server(12, true);
    for event in &mut server {
        if let ServerEvent::Epoch { validation_seconds, .. } = event {
            *validation_seconds = 1e-5;
        }
    }
    let mut client = client(12);
    client.retain(|event| !matches!(event, ClientEvent::Validation { .. }));
    let end = server.last().cloned().expect("an end");
    let resumed = [&server[..], &[start("n16", 12), end]].concat();
    for (server, client) in [(&server, &client), (&resumed, &client), (&server, &Vec::new())] {
        checked(&report(server, client), |document| {
            assert!(!has_fact(document, "Best epoch"));
            assert_eq!(fact(document, "Steps"), "12in 2 epochs");
            assert_eq!(fact(document, "Total time"), "1 h 06 min");
            assert_eq!(fact(document, "End"), "stopped by the client");
            if client.is_empty() {
                assert!(!has_fact(document, "Result"));
            } else {
                assert_eq!(fact(document, "Result"), "epoch 2the last one, as there was no validation");
            }
        });
    }
}

/// A run that was killed again after its resumption has the steps that it last reached.
#[test]
fn killed_again_after_a_resumption() {
    let mut events = server(20, false);
    // Steps 11 to 20 were lost, but the client's log has them.
    events.extend([start("n16", 8), step(9), step(10)]);
    checked(&report(&events, &client(20)), |document| {
        assert_eq!(fact(document, "Steps"), "10in 2 epochs");
        assert_eq!(fact(document, "Resumed"), "1 timeafter step 8");
        let time = chart(document, "Time of every step");
        let hovers = time.descendants().filter(|node| node.attribute("class") == Some("hover"));
        let places: Vec<f64> = hovers.filter_map(|hover| hover.attribute("x")?.parse().ok()).collect();
        assert!(places.len() == 10 && places.is_sorted() && places[0] >= 54.0 && places[9] < 468.0, "{places:?}");
    });
    let again = [server(3, false), server(2, false)].concat();
    checked(&report(&again, &[]), |document| {
        assert_eq!(fact(document, "Resumed"), "1 timeafter step 0");
        assert_eq!(fact(document, "Steps"), "2in 1 epoch");
    });
}

/// The largest possible page is within the bound.
#[test]
fn largest_page() {
    // Everything is the longest there is, and as many as are shown.
    let name = |i: usize| format!("{i:02}{}", "\"".repeat(1000));
    let mut server = filled(&server(2000, true), Some(-1.234_567e-300), None);
    let mut client = filled(&client(6 * 2000), Some(-1.234_567e-300), None);
    for event in &mut server {
        match event {
            ServerEvent::Start { preset, mode, first_step, .. } => {
                (*preset, *mode, *first_step) = (name(0), name(1), usize::MAX);
            }
            ServerEvent::Step { phases, step, seconds, memory_bytes, .. } => {
                let phase = phases[0].clone();
                let many =
                    (0..50).map(|i| Phase { name: name(i), bootstraps: usize::MAX, seconds: 1.0, ..phase.clone() });
                *phases = many.collect();
                *seconds = 1e5 * noise(*step);
                *memory_bytes = usize::MAX / *step;
                *step = usize::MAX - 2000 * *step;
            }
            ServerEvent::End { reason, .. } => *reason = name(2),
            _ => (),
        }
    }
    for event in &mut client {
        match event {
            ClientEvent::Weights { step, difference, .. } => (*step, *difference) = (usize::MAX - *step, 1e-300),
            ClientEvent::Validation { epoch, step, .. } => {
                (*epoch, *step) = (usize::MAX - *epoch, usize::MAX - *step);
            }
            ClientEvent::Test { confusion, .. } => *confusion = vec![vec![usize::MAX; 200]; 200],
        }
    }
    let page = report(&server, &client);
    checked(&page, |document| assert_eq!(elements(document, "figure").count(), 9));
    assert!((MOST / 2..MOST).contains(&page.len()), "{}", page.len());
}

/// Numbers at the edges, and others.
fn float() -> impl Strategy<Value = f64> {
    let edges =
        [0.0, -0.0, 5e-324, -5e-324, f64::MIN_POSITIVE, 1e-300, 1.0, -1.0, 1e15, 1e308, -1e308, f64::MAX, f64::MIN];
    let any = any::<f64>().prop_map(|value| if value.is_finite() { value } else { 1e307 });
    prop_oneof![4 => select(edges.to_vec()), 1 => any, 1 => -100.0..100.0]
}

fn count() -> impl Strategy<Value = usize> {
    let edges = [0, 1, 2, 1 << 31, 1 << 53, (1 << 53) + 1, usize::MAX / 2, usize::MAX - 1, usize::MAX];
    prop_oneof![3 => select(edges.to_vec()), 1 => any::<usize>(), 3 => 0usize..12]
}

fn name() -> impl Strategy<Value = String> {
    let hostile =
        ["", "load", "]]>", "<script>", "\u{202e}\u{0}\u{1b}[31m\u{fffe}\r\n", "&amp;\"'", "∞"].map(str::to_owned);
    prop_oneof![3 => select(hostile.to_vec()), 1 => ".{0,200}"]
}

fn server_event() -> impl Strategy<Value = ServerEvent> {
    let phase = (name(), float(), float(), count(), count(), float()).prop_map(|(name, seconds, within, n, level, log)| {
        json!({"name": name, "seconds": seconds, "bootstrap_seconds": within, "bootstraps": n, "level": level, "log_scale": log})
    });
    let start = (vec(count(), 10), vec(float(), 2), name(), name(), any::<bool>()).prop_map(
        |(n, x, preset, mode, insecure)| {
            json!({
                "event": "start", "unix_time": n[0], "preset": preset, "insecure": insecure, "mode": mode, "rows": n[1],
                "features": n[2], "classes": n[3], "batch": n[4], "steps_per_epoch": n[5], "epochs": n[6],
                "logit_range": x[0], "key_bytes": n[7], "predicted_step_seconds": x[1],
                "predicted_memory_bytes": n[8], "first_step": n[9], "threads": n[0],
            })
        },
    );
    let step = (vec(count(), 6), float(), float(), vec(phase, 0..4)).prop_map(|(n, seconds, log_scale, phases)| {
        json!({
            "event": "step", "epoch": n[0], "step": n[1], "rows": n[2], "seconds": seconds, "phases": phases,
            "bootstraps": n[3], "level": n[4], "log_scale": log_scale, "memory_bytes": n[5],
        })
    });
    let epoch = (count(), float(), float(), any::<bool>()).prop_map(|(epoch, seconds, validation, go_on)| {
        json!({
            "event": "epoch", "epoch": epoch, "seconds": seconds, "validation_seconds": validation, "go_on": go_on,
        })
    });
    let checkpoint = (count(), float(), count()).prop_map(
        |(step, seconds, bytes)| json!({"event": "checkpoint", "step": step, "seconds": seconds, "bytes": bytes}),
    );
    let end = (count(), count(), float(), count(), name()).prop_map(|(steps, epochs, seconds, peak, reason)| {
        json!({
            "event": "end", "steps": steps, "epochs": epochs, "seconds": seconds, "peak_memory_bytes": peak,
            "reason": reason,
        })
    });
    prop_oneof![2 => start, 8 => step, 2 => epoch, 1 => checkpoint, 1 => end]
        .prop_map(|event| serde_json::from_value(event).expect("an event"))
}

fn client_event() -> impl Strategy<Value = ClientEvent> {
    fn quality() -> impl Strategy<Value = Value> {
        vec(float(), 3).prop_map(|x| json!({"loss": x[0], "accuracy": x[1], "max_logit": x[2]}))
    }
    fn plain() -> impl Strategy<Value = Value> {
        prop_oneof![1 => Just(Value::Null), 2 => quality()]
    }
    let weights = (count(), vec(float(), 4)).prop_map(|(step, x)| {
        json!({
            "event": "weights", "step": step, "difference": x[0], "max_weight": x[1], "max_logit": x[2], "loss": x[3],
        })
    });
    let validation =
        (count(), count(), quality(), plain(), plain()).prop_map(|(epoch, step, encrypted, twin, exact)| {
            json!({
                "event": "validation", "epoch": epoch, "step": step, "encrypted": encrypted, "twin": twin,
                "exact": exact, "go_on": true,
            })
        });
    let test = (quality(), plain(), plain(), vec(vec(count(), 0..5), 0..5)).prop_map(
        |(encrypted, twin, exact, confusion)| {
            json!({"event": "test", "encrypted": encrypted, "twin": twin, "exact": exact, "confusion": confusion})
        },
    );
    prop_oneof![4 => weights, 4 => validation, 1 => test]
        .prop_map(|event| serde_json::from_value(event).expect("an event"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any events make a well-formed page of bounded size, on which everything drawn lies within
    /// its chart.
    #[test]
    fn any_events_make_a_page(server in vec(server_event(), 0..16), client in vec(client_event(), 0..16)) {
        let page = report(&server, &client);
        checked(&page, |document| {
            // Everything that is drawn lies within its chart.
            for svg in elements(document, "svg").filter(|svg| svg.attribute("role") == Some("img")) {
                for path in svg.descendants().filter_map(|node| node.attribute("d")) {
                    let numbers = path.split(|c: char| c != '.' && c != '-' && !c.is_ascii_digit());
                    let numbers: Vec<f64> = numbers.filter(|text| !text.is_empty()).map(|n| n.parse().expect(n)).collect();
                    assert!(numbers.iter().all(|number| (-12.0..=480.0).contains(number)), "{path}");
                }
            }
        });
        prop_assert!(page.len() < MOST / 4, "{}", page.len());
    }
}

/// A log is read as it was written, also by several writers one after the other.
#[test]
fn logs_are_read_as_written() {
    let file = Scratch::new("written");
    let (first, second) = (server(7, false), server(3, true));
    for events in [&first, &second] {
        let mut writer = Writer::open(&file.0).expect("a new file");
        events.iter().for_each(|event| writer.write(event).expect("finite"));
    }
    let events = read::<ServerEvent>(&file.0).expect("whole lines").events;
    assert_eq!(events.len(), first.len() + second.len());
    assert_eq!(report(&events[..first.len()], &[]), report(&first, &[]));
    assert_eq!(fs::read_to_string(&file.0).expect("a file").lines().count(), events.len());
}

/// The client's log can be read by its owner alone.
#[cfg(unix)]
#[test]
fn the_clients_log_is_its_own() {
    use std::os::unix::fs::PermissionsExt;
    let file = Scratch::new("own");
    Writer::<ClientEvent>::open(&file.0).expect("a new file");
    assert_eq!(fs::metadata(&file.0).expect("a file").permissions().mode() & 0o777, 0o600);
}

/// A last line that was cut off is ignored when reading, and removed when writing.
#[test]
fn torn_line() {
    let file = Scratch::new("torn");
    let mut writer = Writer::open(&file.0).expect("a new file");
    [start("n16", 0), step(1), step(2)].iter().for_each(|event| writer.write(event).expect("finite"));
    drop(writer);
    let whole = fs::read(&file.0).expect("a file");
    // The cut is anywhere within the last line.
    for cut in [1, 20, 200] {
        fs::write(&file.0, &whole[..whole.len() - cut]).expect("space");
        assert_eq!(read::<ServerEvent>(&file.0).expect("whole lines").events.len(), 2);
        Writer::open(&file.0).expect("a file").write(&step(2)).expect("finite");
        assert_eq!(fs::read(&file.0).expect("a file"), whole);
    }
    fs::write(&file.0, "{\"event\":\"st").expect("space");
    assert!(read::<ServerEvent>(&file.0).expect("nothing").events.is_empty());
    Writer::open(&file.0).expect("a file").write(&step(2)).expect("finite");
    assert_eq!(read::<ServerEvent>(&file.0).expect("whole lines").events.len(), 1);
}

/// A bad line is refused with its number, unless it is a torn last line.
#[test]
fn bad_line() {
    let file = Scratch::new("bad");
    let mut writer = Writer::open(&file.0).expect("a new file");
    writer.write(&start("n16", 0)).expect("finite");
    // The flag tells whether, at the end of the log, it is only a part of an event.
    for (bad, torn) in [
        ("{\"event\":\"stop\"}\n", false),
        ("\n", true),
        ("{\"event\":\"step\",\"epoch\":\n", true),
        ("\u{0}\u{0}\n", true),
    ] {
        let good = fs::read(&file.0).expect("a file");
        let refused = |bytes: &[u8]| {
            fs::write(&file.0, bytes).expect("space");
            let error = read::<ServerEvent>(&file.0).expect_err("a bad line").to_string();
            assert!(error.contains("line 2") && error.contains(file.0.to_str().expect("text")), "{error}");
        };
        refused(&[&good, bad.as_bytes(), &good].concat());
        let last = [&good, bad.as_bytes()].concat();
        if torn {
            fs::write(&file.0, &last).expect("space");
            let log = read::<ServerEvent>(&file.0).expect("a torn end");
            assert!(log.events.len() == 1 && log.warning(&file.0).is_some(), "{bad:?}");
        } else {
            refused(&last);
        }
        fs::write(&file.0, &good).expect("space");
    }
    let missing = read::<ServerEvent>(Scratch::new("missing").0.as_path()).expect_err("no file");
    assert!(matches!(missing, Error::Io { .. }) && missing.to_string().contains("missing"));
    // An event of the client is not an event of the server.
    assert!(Writer::<ClientEvent>::open(&file.0).is_err());
    assert!(read::<ClientEvent>(&file.0).is_err());
}

/// Numbers that are not finite are not written.
#[test]
fn only_finite_numbers() {
    let file = Scratch::new("finite");
    let mut writer = Writer::open(&file.0).expect("a new file");
    for bad in [f64::NAN, f64::INFINITY] {
        let event = ClientEvent::Weights { step: 1, difference: bad, max_weight: 1.0, max_logit: 1.0, loss: 1.0 };
        assert!(matches!(writer.write(&event), Err(Error::Malformed { .. })));
    }
    assert!(read::<ClientEvent>(&file.0).expect("nothing").events.is_empty());
}
