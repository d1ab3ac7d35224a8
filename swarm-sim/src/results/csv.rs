//! Lines of CSV files.

/// The cells of a line; `None` if quotes are not as they should be. A line break inside of quotes is not known here: no
/// file of the simulator has one.
pub(crate) fn cells(line: &str) -> Option<Vec<String>> {
    let mut cells = Vec::new();
    let mut rest = line;
    loop {
        let (cell, after) = match rest.strip_prefix('"') {
            Some(quoted) => in_quotes(quoted)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        cells.push(cell);
        if after.is_empty() {
            return Some(cells);
        }
        rest = after.strip_prefix(',')?;
    }
}

/// A cell up to the quote that ends it, and what comes after.
fn in_quotes(text: &str) -> Option<(String, &str)> {
    let (mut cell, mut rest) = (String::new(), text);
    loop {
        let (part, after) = rest.split_once('"')?;
        cell.push_str(part);
        match after.strip_prefix('"') {
            Some(more) => {
                cell.push('"');
                rest = more;
            }
            None => return Some((cell, after)),
        }
    }
}

/// A cell as a number: nothing for an empty one, `None` if it is no finite number.
pub(super) fn number(cell: &str) -> Option<Option<f64>> {
    match cell {
        "" => Some(None),
        text => text.parse().ok().filter(|value: &f64| value.is_finite()).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_read_as_they_are_written() {
        let read = |line: &str| cells(line).map(|cells| cells.join("|"));
        for (line, expected) in [
            ("a,b,", Some("a|b|")),
            ("", Some("")),
            ("1,\"a, \"\"b\"\"\",2", Some("1|a, \"b\"|2")),
            ("\"\",x", Some("|x")),
            ("\"open", None),
            ("\"a\"b,c", None),
        ] {
            assert_eq!(read(line).as_deref(), expected, "{line}");
        }
        assert_eq!((number(""), number("1.5")), (Some(None), Some(Some(1.5))));
        assert_eq!((number("x"), number("inf")), (None, None));
    }
}
