//! Text from anywhere as HTML shows it: nothing in it is markup, and nothing in it turns the text around it.

/// A text as HTML shows it, in a tag or in an attribute.
pub fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            // These would show a text in another order than it has, so they are shown themselves.
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                html.push_str(&format!("[U+{:04X}]", u32::from(letter)));
            }
            // No document may hold these.
            letter if letter.is_control() && !matches!(letter, '\n' | '\t') => html.push('\u{fffd}'),
            letter => html.push(letter),
        }
    }
    html
}

/// An SVG document whose ids begin with `prefix`, so that several can stand in one page.
pub fn with_own_ids(svg: &str, prefix: &str) -> String {
    let mut own = String::with_capacity(svg.len());
    // Only tags have attributes: text between them stays as it is.
    for part in svg.split_inclusive('>') {
        let (text, tag) = part.split_at(part.find('<').unwrap_or(part.len()));
        own.push_str(text);
        let mut tag = tag.to_owned();
        for start in [" id=\"", "url(#", "href=\"#"] {
            tag = tag.replace(start, &format!("{start}{prefix}"));
        }
        own.push_str(&tag);
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_and_controls_are_shown_as_text() {
        assert_eq!(escaped("<b a='1'>&\"</b>"), "&lt;b a=&#39;1&#39;&gt;&amp;&quot;&lt;/b&gt;");
        assert_eq!(escaped("a\u{202e}b\u{2066}c\u{0}d\ne"), "a[U+202E]b[U+2066]c\u{fffd}d\ne");
        assert_eq!(escaped("שלום 日本語"), "שלום 日本語");
    }

    #[test]
    fn ids_are_renamed_where_they_are_ids() {
        let svg = "<svg><clipPath id=\"a\"/><g clip-path=\"url(#a)\"/><use href=\"#a\"/><text>say id=\"a\" url(#a)</text></svg>";
        let own = "<svg><clipPath id=\"f1-a\"/><g clip-path=\"url(#f1-a)\"/><use href=\"#f1-a\"/><text>say id=\"a\" url(#a)</text></svg>";
        assert_eq!(with_own_ids(svg, "f1-"), own);
    }
}
