//! A network card as people take it over: a QR code for a telephone, a line to copy.

use std::io::IsTerminal;

use enjambre_protocol::directory::NetworkCard;
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

/// Colours stated: dark on light, whatever the terminal's own.
const DARK_ON_LIGHT: (&str, &str) = ("\u{1b}[30;107m", "\u{1b}[0m");

/// The QR code of a card and the card below it; the card alone if it fits no code.
pub(crate) fn lines(card: &NetworkCard) -> String {
    let text = card.to_string();
    // The least correction: a screen has no stains, and a smaller code is read more easily.
    let Ok(code) = QrCode::with_error_correction_level(&text, EcLevel::L) else { return text };
    let coloured = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut drawing = code.render::<Dense1x2>();
    if coloured {
        drawing.dark_color(Dense1x2::Dark).light_color(Dense1x2::Light);
    } else {
        // Without colours, most terminals write light on dark.
        drawing.dark_color(Dense1x2::Light).light_color(Dense1x2::Dark);
    }
    let drawn = drawing.quiet_zone(true).build();
    let (before, after) = if coloured { DARK_ON_LIGHT } else { ("", "") };
    let rows: String = drawn.lines().map(|row| format!("{before}{row}{after}\n")).collect();
    format!("{rows}{text}")
}
