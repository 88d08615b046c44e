//! Names and numbers as text for the page.

use std::borrow::Cow;

/// The largest number of characters of a name or a reason.
const CHARACTERS: usize = 80;

/// Returns a name that another party chose, cut off if it is long.
pub(super) fn cut(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

/// Escapes a text for use as markup. Characters that XML does not allow are replaced, and so are
/// characters that act on other text: controls, and characters that change its direction.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\t' | '\n' => escaped.push(c),
            '\0'..'\u{20}'
            | '\u{7f}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{fffe}'
            | '\u{ffff}' => escaped.push('\u{fffd}'),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// Formats a number with three digits, without zeros at the end of a fraction.
pub(super) fn short(value: f64) -> String {
    let magnitude = value.abs();
    if value == 0.0 {
        // Empty sums are −0, hence this case.
        return "0".to_owned();
    }
    if value.is_nan() {
        return "–".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "∞" } else { "−∞" }.to_owned();
    }
    if !(1e-3..1e6).contains(&magnitude) {
        return format!("{value:.2e}");
    }
    let decimals = (2.0 - magnitude.log10().floor()).max(0.0) as usize;
    let text = format!("{value:.decimals$}");
    if decimals == 0 { text } else { text.trim_end_matches('0').trim_end_matches('.').to_owned() }
}

/// Formats a number with `decimals` digits after the point, unless there would be many before it.
pub(super) fn fixed(value: f64, decimals: usize) -> String {
    // Empty sums are −0; adding 0 removes the sign.
    if value.abs() < 1e9 { format!("{:.decimals$}", value + 0.0) } else { short(value) }
}

/// Formats a number times a power of ten, with at most `digits` digits after the point.
pub(super) fn scientific(value: f64, digits: usize, power: i32) -> String {
    let text = format!("{value:.digits$e}");
    match text.split_once('e').map(|(mantissa, exponent)| (mantissa, exponent.parse::<i32>())) {
        Some((mantissa, Ok(exponent))) if value != 0.0 => {
            let mantissa = if digits > 0 { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
            format!("{mantissa}e{}", exponent + power)
        }
        _ => short(value),
    }
}
