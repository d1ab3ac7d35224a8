//! What each figure of each engine is, in a sentence.

/// What a figure is; nothing for a name that the engine does not make.
pub fn about(engine: &str, name: &str) -> Option<&'static str> {
    let table: &[(&str, &str)] = match engine {
        "churn" => CHURN,
        "onion" => ONION,
        "paths" => PATHS,
        "swarms" => SWARMS,
        "mixes" => MIXES,
        "disclosure" => DISCLOSURE,
        _ => return None,
    };
    // Days and rounds differ by scenario; the sentence is the same.
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let is_time = stem.ends_with("_day_") || stem.ends_with("_round_");
    let wanted = if is_time { stem } else { name };
    table.iter().find(|(of, _)| *of == wanted).map(|(_, about)| *about)
}

/// What a curve is; nothing for a name that no engine draws.
pub fn about_curve(name: &str) -> Option<&'static str> {
    CURVES.iter().find(|(of, _)| *of == name).map(|(_, about)| *about)
}

const CURVES: &[(&str, &str)] = &[
    (
        "guard_malicious",
        "Clients that have had a guard of the adversary in use, who then knows their address.",
    ),
    (
        "both_ends_seen",
        "Clients of which a request was seen at both ends: its guard, and its exit or destination, work for the adversary.",
    ),
    ("guard_seen", "Clients that a malicious middle has served: it knows who their guard is."),
    (
        "identified_by_rounds",
        "Targets whose partners the adversary has named, rightly and surely, by the rounds that it watched.",
    ),
    (
        "identified_by_messages",
        "Targets whose partners the adversary has named, rightly and surely, by the messages that they sent.",
    ),
];

const CHURN: &[(&str, &str)] = &[
    ("steps", "Documents of the directory, over all replicates."),
    ("nodes_mean", "Nodes in the network, on average over documents."),
    ("swarms_mean", "Swarms, on average over documents."),
    ("size_min", "Members of the smallest swarm at any time."),
    (
        "size_mean",
        "Members of a swarm, on average over all swarms of all documents of a replicate.",
    ),
    ("size_max", "Members of the largest swarm at any time."),
    (
        "reserves_mean",
        "Nodes that are planned for no swarm and only relay, on average over documents.",
    ),
    ("reserves_max", "The most nodes that were planned for no swarm at one time."),
    (
        "moved_per_step",
        "Nodes that leave their swarm for another or for none with a document, on average. Whoever takes their part copies mailboxes: lower is better.",
    ),
    (
        "moved_max",
        "The most nodes that left their swarm for another or for none with one document.",
    ),
    ("swarms_formed", "Swarms that were formed, over all replicates."),
    ("swarms_dissolved", "Swarms that were dissolved, over all replicates."),
    (
        "changes_in_hand_mean",
        "Swarms whose change of members is not finished, on average over documents.",
    ),
    (
        "ring_in_hand_over",
        "Share of all mailboxes that are being handed from one swarm to another, on average over documents.",
    ),
    (
        "load_peak",
        "How many times the mean share of mailboxes the swarm with the most has, on average over documents. 1 is even.",
    ),
    (
        "swarms_captured_mean",
        "Swarms of which a majority works for the adversary, on average over documents. Lower is better.",
    ),
    (
        "any_swarm_captured",
        "Share of documents with at least one swarm of which a majority works for the adversary. Lower is better.",
    ),
    (
        "swarms_exposed_share",
        "Share of swarms with at least one member that works for the adversary, which sees when their mailboxes are used. Lower is better.",
    ),
    (
        "swarms_vanished",
        "Swarms of which no member was left that still had its store, over all replicates: what they kept is gone. Lower is better.",
    ),
    (
        "losses_possible",
        "Times that a swarm went on without enough of those that held its messages to be sure of all, so that some may be lost, over all replicates. Lower is better.",
    ),
];

const ONION: &[(&str, &str)] = &[
    ("requests", "Requests that clients made, over all replicates."),
    ("delivered", "Share of requests that were answered in the end. Higher is better."),
    (
        "delivered_at_first_try",
        "Share of requests that were answered at the first try. Higher is better.",
    ),
    (
        "latency_p50",
        "Time from a request to its answer, retries included, that half of the answered requests do not exceed.",
    ),
    (
        "latency_p95",
        "Time from a request to its answer that 95 % of the answered requests do not exceed.",
    ),
    (
        "latency_p99",
        "Time from a request to its answer that 99 % of the answered requests do not exceed.",
    ),
    (
        "tries_mean",
        "Tries that a request takes, on average, whether it is answered or given up. Lower is better.",
    ),
    ("tries_failed_guard_unreachable", "Tries that ended because the guard could not be reached."),
    (
        "tries_failed_edge_named",
        "Tries that ended because a hop said that it could not reach the next.",
    ),
    (
        "tries_failed_hop_named",
        "Tries that ended because a hop named itself as what failed, or because the guard refused the packet.",
    ),
    (
        "tries_failed_in_silence",
        "Tries that ended because no answer came in time, or none that could be opened.",
    ),
    ("requests_without_path", "Requests that were given up because no path was found for a try."),
    (
        "rules_relaxed",
        "Share of requests whose first path had to break one of the rules about families, prefixes and the destination's swarm. Lower is better.",
    ),
    (
        "guards_a_client",
        "Guards that a client keeps at the end, those in use and those in reserve, on average.",
    ),
    (
        "guard_and_exit_malicious",
        "Share of requests whose first path had a guard and an exit that work for the adversary. Lower is better.",
    ),
    (
        "guard_and_destination_malicious",
        "Share of requests whose first path had a guard and a destination that work for the adversary. Lower is better.",
    ),
    (
        "request_both_ends_malicious",
        "Share of requests whose first path had a guard, and an exit or destination, that work for the adversary. Lower is better.",
    ),
    (
        "request_both_ends_malicious_in_any_try",
        "Share of requests of which any try had a guard, and an exit or destination, that work for the adversary: retries give more chances. Lower is better.",
    ),
    (
        "packets_peeled",
        "Packets of which a node took off a layer, over all replicates: four for a try that reaches its destination.",
    ),
    (
        "messages",
        "Packets, answers and refusals put on links, each once for each link, over all replicates. Pings are not counted.",
    ),
    (
        "messages_lost",
        "Of these packets, answers and refusals, how many a link lost, over all replicates.",
    ),
    ("nodes_stopped", "Times that a node went down, over all replicates."),
    (
        "virtual_time",
        "Simulated time from the start until every request has ended, on average over replicates.",
    ),
];

const PATHS: &[(&str, &str)] = &[
    ("clients", "Clients that were watched, over all replicates."),
    ("requests", "Requests that found a path, over all replicates."),
    (
        "requests_guard_malicious",
        "Share of requests whose guard works for the adversary, who then knows the client's address. Lower is better.",
    ),
    (
        "requests_both_ends",
        "Share of requests whose guard, and whose exit or destination, work for the adversary, who can then match what goes in with what comes out. Lower is better.",
    ),
    (
        "requests_without_nodes",
        "Share of requests for which too few nodes were in the directory, such as no member of the mailbox's swarm. Lower is better.",
    ),
    (
        "client_both_ends_share_p5",
        "Share of its requests seen at both ends that only 5 % of the clients do not exceed: the lucky ones.",
    ),
    (
        "client_both_ends_share_p50",
        "Share of its requests seen at both ends that half of the clients do not exceed.",
    ),
    (
        "client_both_ends_share_p95",
        "Share of its requests seen at both ends that 95 % of the clients do not exceed: the rest fare worse.",
    ),
    (
        "guards_a_client",
        "Different guards that a client has used, on average. Fewer mean fewer chances for a malicious one.",
    ),
    (
        "guard_malicious_by_day_",
        "Share of clients that have had a guard of the adversary in use by this many days after they began, 0 being their first choice. Lower is better.",
    ),
    (
        "both_ends_seen_by_day_",
        "Share of clients of which a request was seen at both ends by this many days after they began. Lower is better.",
    ),
    (
        "guard_seen_by_day_",
        "Share of clients that a malicious middle has served by this many days after they began: it knows who their guard is. Lower is better.",
    ),
    (
        "days_to_guard_malicious_p50",
        "Days until half of the clients have had a guard of the adversary in use; nothing if it is fewer by the end. Longer is better.",
    ),
    (
        "days_to_both_ends_p50",
        "Days until half of the clients have had a request seen at both ends; nothing if it is fewer by the end. Longer is better.",
    ),
    (
        "days_to_guard_seen_p50",
        "Days until a malicious middle has seen the guard of half of the clients; nothing if it is fewer by the end. Longer is better.",
    ),
];

const SWARMS: &[(&str, &str)] = &[
    ("swarms_mean", "Swarms of a map, on average over maps."),
    ("size_min", "Members of the smallest swarm of any map."),
    ("size_mean", "Members of a swarm, on average over maps."),
    ("size_max", "Members of the largest swarm of any map."),
    ("nodes_in_no_swarm", "Nodes that are in no swarm and only relay, on average over maps."),
    (
        "copies_of_a_message",
        "Copies of a message to a random mailbox: the members of its swarm, on average over maps.",
    ),
    (
        "messages_of_a_store",
        "Messages between members for one stored message: a copy to each member but the one that the client sent it to, and a receipt from each.",
    ),
    (
        "swarms_captured_share",
        "Chance that a swarm has a majority of members that work for the adversary, on average over the swarms of a map. Lower is better.",
    ),
    (
        "mailbox_captured",
        "Chance that a random mailbox lies in a swarm of which a majority works for the adversary. Lower is better.",
    ),
    (
        "mailbox_captured_halfway",
        "As mailbox_captured, but on the map halfway through the documents in which nodes come and go: if it differs, they were too few.",
    ),
    (
        "swarms_captured_mean",
        "Swarms with a malicious majority that are expected on a map. This is no probability that there is any.",
    ),
    (
        "any_swarm_captured",
        "Chance that any swarm of a map has a malicious majority, by weighted samples; theory's mark is the exact value for the same maps. Lower is better.",
    ),
    (
        "swarms_exposed_share",
        "Chance that a swarm has at least one member that works for the adversary, on average over the swarms of a map. Lower is better.",
    ),
    (
        "mailbox_exposed",
        "Chance that a random mailbox lies in a swarm with at least one member that works for the adversary, which sees when it is used. Lower is better.",
    ),
    (
        "burst_swarms_lost_share",
        "Chance that all members of a swarm are among those gone in the burst, on average over the swarms of a map. Lower is better.",
    ),
    (
        "burst_mailbox_lost",
        "Chance that all members that keep a random mailbox are gone in the burst. Lower is better.",
    ),
    (
        "burst_any_swarm_lost",
        "Chance that any swarm of a map loses all members in the burst, by weighted samples; theory's mark is the exact value for the same maps. Lower is better.",
    ),
    (
        "burst_mailbox_below_majority",
        "Chance that fewer than a majority are left of the members that keep a random mailbox, so that it takes no messages until the swarm is mended. Lower is better.",
    ),
];

const MIXES: &[(&str, &str)] = &[
    (
        "messages",
        "Messages that count, over all replicates: the first that arrive after the warm-up.",
    ),
    (
        "shannon_mean",
        "Shannon entropy of what the adversary believes about which arrival a leaving message is, on average over messages. Higher is better; 0 is certainty.",
    ),
    ("shannon_least", "The least Shannon entropy of any message: the one that was hidden worst."),
    (
        "shannon_p5",
        "Shannon entropy that 5 % of the messages do not exceed, on average over replicates.",
    ),
    (
        "shannon_p50",
        "Shannon entropy that half of the messages do not exceed, on average over replicates.",
    ),
    (
        "min_entropy_mean",
        "Min-entropy, minus log2 of the likeliest arrival's probability, on average over messages: how well the best guess is hidden. Higher is better.",
    ),
    ("min_entropy_least", "The least min-entropy of any message."),
    (
        "min_entropy_p5",
        "Min-entropy that 5 % of the messages do not exceed, on average over replicates.",
    ),
    (
        "min_entropy_p50",
        "Min-entropy that half of the messages do not exceed, on average over replicates.",
    ),
    (
        "surprisal_mean",
        "Minus log2 of the probability that the adversary gave to the true arrival, on average over messages. If its beliefs are right it equals the mean Shannon entropy.",
    ),
    ("delay_mean", "Time that a message spends in the mixes, on average. Lower is better."),
    (
        "delay_p50",
        "Time in the mixes that half of the messages do not exceed, on average over replicates.",
    ),
    (
        "delay_p99",
        "Time in the mixes that 99 % of the messages do not exceed, on average over replicates.",
    ),
];

const DISCLOSURE: &[(&str, &str)] = &[
    ("targets", "Targets, each in a world of its own, over all replicates."),
    (
        "targets_silent",
        "Targets that sent no message while watched. They count in the shares that were identified, but not in what is said of the end.",
    ),
    ("rounds", "Rounds in which a target was watched, summed over all targets of all replicates."),
    ("messages", "Messages that targets sent, dummies left out, over all replicates."),
    ("dummies", "Dummies that targets sent to random mailboxes, over all replicates."),
    (
        "identified_by_round_",
        "Share of targets whose partners the adversary has named, rightly and surely, by this round. Lower is better.",
    ),
    (
        "identified_by_end",
        "Share of targets whose partners the adversary has named, rightly and surely, by the last round. Lower is better.",
    ),
    (
        "rounds_to_identified_p50",
        "Rounds until the partners of half of the targets are named; nothing if it is fewer by the end. Longer is better.",
    ),
    (
        "messages_to_identified_p50",
        "Messages that a target sends until the partners of half of the targets are named; nothing if it is fewer by the end. More is better.",
    ),
    (
        "partners_ranked_first",
        "Share of targets that sent whose partners are likelier than all others at the end. Lower is better.",
    ),
    (
        "partner_rank_p50",
        "Place, among the candidates that are no partners, of the partner that the adversary thinks least likely at the end, for the target in the middle: 1 is ahead of all of them. Higher is better.",
    ),
    ("partner_rank_p95", "The same place, which 95 % of the targets do not exceed."),
    (
        "partners_probability_mean",
        "Probability that the adversary gives to the partners at the end, on average over targets that sent. Lower is better.",
    ),
    (
        "candidates_left_mean",
        "Candidates that the adversary has not ruled out at the end, on average over targets that sent. More is better.",
    ),
    (
        "posterior_shannon_mean",
        "Shannon entropy of what the adversary believes at the end, on average over targets that sent. Higher is better; 0 is certainty, right or wrong.",
    ),
    (
        "posterior_shannon_min",
        "The least Shannon entropy of the posterior of any target that sent.",
    ),
    (
        "posterior_shannon_p5",
        "Shannon entropy of the posterior that 5 % of the targets that sent do not exceed.",
    ),
    (
        "posterior_shannon_p50",
        "Shannon entropy of the posterior that half of the targets that sent do not exceed.",
    ),
    (
        "posterior_min_entropy_mean",
        "Min-entropy of the posterior, minus log2 of the likeliest candidate's probability, on average over targets that sent. Higher is better.",
    ),
    (
        "posterior_min_entropy_min",
        "The least min-entropy of the posterior of any target that sent.",
    ),
    (
        "posterior_min_entropy_p5",
        "Min-entropy of the posterior that 5 % of the targets that sent do not exceed.",
    ),
    (
        "posterior_min_entropy_p50",
        "Min-entropy of the posterior that half of the targets that sent do not exceed.",
    ),
    (
        "declared_matches_right",
        "Share of the matches that the adversary declared of which the message, or dummy, was the target's. Lower is better.",
    ),
];
