use hetal::cli::parse_settings;
use hetal::train::Config;

use crate::arrays::printable;

/// The reader of settings in TOML. Settings that are accepted are within the documented ranges. If
/// they name all settings, they give the same result whatever settings they are laid over.
///
/// # Panics
/// If either does not hold.
pub fn settings(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let base = Config { batch: 7, learning_rate: 0.25, ..Config::default() };
    let config = match parse_settings(&text, "settings.toml", &base) {
        Ok(config) => config,
        Err(error) => return printable(&error),
    };
    if let Err(error) = config.check() {
        return printable(&error);
    }
    let Config {
        learning_rate,
        batch,
        epochs,
        patience,
        logit_range,
        weight_range,
        softmax_error,
        checkpoint_steps,
        ..
    } = config;
    assert!((1e-6..=1e3).contains(&learning_rate) && (0.5..=1024.0).contains(&logit_range));
    assert!((1e-3..=1e3).contains(&weight_range) && (1e-7..=0.1).contains(&softmax_error));
    assert!([batch, epochs, patience, checkpoint_steps].iter().all(|x| (1..=u32::MAX as usize).contains(x)));
    // Laid over themselves, they change nothing.
    assert_eq!(parse_settings(&text, "settings.toml", &config), Ok(config));
}
