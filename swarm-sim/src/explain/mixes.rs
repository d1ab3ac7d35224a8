//! The mixes engine's settings, and what theory predicts.

use super::{Prediction, Setting, setting, time};
use crate::mixes::Theory;
use crate::scenario::{Arrivals, Mix, Mixes, View};

pub(super) const LEAVES_OUT: &[&str] = &[
    "senders of more than one message: whoever sends often is found sooner than single messages tell",
    "links, latency, loss, and cover: every message that arrives is real and leaves",
    "an adversary that sends, delays or blocks messages, or is the mix",
];

pub(super) fn settings(mixes: &Mixes) -> Vec<Setting> {
    let mut settings = vec![
        setting("messages", mixes.messages.to_string()),
        setting("warm_up", time(mixes.warm_up)),
    ];
    match mixes.mix {
        Mix::Threshold { n } => {
            settings.extend([setting("mix.kind", "threshold"), setting("mix.n", n.to_string())])
        }
        Mix::Pool { enter, kept } => settings.extend([
            setting("mix.kind", "pool"),
            setting("mix.in", enter.to_string()),
            setting("mix.kept", kept.to_string()),
        ]),
        Mix::Poisson { mean_delay, hops, view } => settings.extend([
            setting("mix.kind", "poisson"),
            setting("mix.mean_delay", time(mean_delay)),
            setting("mix.hops", hops.to_string()),
            setting(
                "mix.view",
                match view {
                    View::Departures => "departures",
                    View::Times => "times",
                    View::Departure => "departure",
                },
            ),
        ]),
    }
    settings.push(match mixes.arrivals {
        Arrivals::Rho(rho) => setting("arrivals.rho", rho.to_string()),
        Arrivals::PerSecond(rate) => setting("arrivals.per_second", rate.to_string()),
    });
    settings
}

/// How the entropies and the mean delay of a kind of mix come about.
struct Formulas {
    shannon: &'static str,
    min_entropy: &'static str,
    delay: &'static str,
}

const fn formulas(mix: Mix) -> Formulas {
    match mix {
        Mix::Threshold { .. } => Formulas {
            shannon: "threshold-mix-entropy",
            min_entropy: "threshold-mix-entropy: all are equally likely",
            delay: "(n - 1) / 2 mean times between arrivals",
        },
        Mix::Pool { .. } => Formulas {
            shannon: "pool-mix-entropy",
            min_entropy: "log2(in + kept): the likeliest entered in the round that they leave in",
            delay: "(in - 1) / 2 + kept mean times between arrivals",
        },
        Mix::Poisson { view: View::Departures, .. } => Formulas {
            shannon: "poisson-mix-entropy, view=departures",
            min_entropy: "poisson-mix-entropy, view=departures: all inside are equally likely",
            delay: "hops mean_delay",
        },
        Mix::Poisson { view: View::Times, .. } => Formulas {
            shannon: "E[(1+K) log2(1+K) - K log2 K], K Poisson of mean rho",
            min_entropy: "no closed form",
            delay: "hops mean_delay",
        },
        Mix::Poisson { view: View::Departure, .. } => Formulas {
            shannon: "poisson-mix-entropy, view=departure",
            min_entropy: "poisson-mix-entropy, view=departure, less rho / (1 + rho) / ln 2: the latest arrival is the likeliest",
            delay: "hops mean_delay",
        },
    }
}

pub(super) fn predictions(mixes: &Mixes) -> Vec<Prediction> {
    let (theory, formulas) = (Theory::of(mixes), formulas(mixes.mix));
    let predict = |name: &str, value: Option<f64>, unit, formula| {
        value.map(|value| Prediction { name: name.to_owned(), value, unit, formula })
    };
    let erlang = "erlang-delay, times mean_delay";
    let inside = "rho, by Little's law; log2 of it is not the entropy";
    [
        predict("messages inside each hop, mean", mixes.rho(), "messages", inside),
        predict("shannon_mean", theory.shannon, "bits", formulas.shannon),
        predict("min_entropy_mean", theory.min_entropy, "bits", formulas.min_entropy),
        predict("delay_mean", theory.delay_mean, "ms", formulas.delay),
        predict("delay_p50", theory.delay_p50, "ms", erlang),
        predict("delay_p99", theory.delay_p99, "ms", erlang),
    ]
    .into_iter()
    .flatten()
    .collect()
}
