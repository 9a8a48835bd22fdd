//! A packet as one HTML page that needs no server and asks nothing of the network. Texts travel as data and are shown as text,
//! never as markup; a content security policy lets nothing but the page's own script and style in.

use super::Packet;
use crate::error::{Error, Result};
use serde::Serialize;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const BODY: &str = include_str!("page.html");

/// What the script reads.
#[derive(Serialize)]
struct Data<'a> {
    /// Answers are kept in the browser under this name.
    digest: &'a str,
    question: &'a str,
    #[serde(flatten)]
    packet: &'a Packet,
}

/// The page of a packet.
pub(super) fn packet_html(packet: &Packet, question: &str) -> Result<String> {
    let digest = blake3::hash(&serde_json::to_vec(packet).map_err(Error::other)?).to_hex();
    let data = serde_json::to_string(&Data { digest: &digest, question, packet }).map_err(Error::other)?;
    // No text can end the script element that it stands in.
    let data = data.replace('<', "\\u003c");
    // A text cannot hold the digest of the packet that it is part of, so nothing in it passes for the page's own script.
    let nonce = &digest[..32];
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'nonce-{nonce}'; \
         style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Which text is better?</title>\n\
         <style nonce=\"{nonce}\">\n{STYLE}</style>\n</head>\n<body>\n{BODY}\
         <script type=\"application/json\" id=\"packet\">{data}</script>\n\
         <script nonce=\"{nonce}\">\n{SCRIPT}</script>\n</body>\n</html>\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::human::Item;

    fn page(text: &str) -> String {
        let text = text.to_owned();
        let item = Item { id: "c0".into(), prompt: text.clone(), first: text.clone(), second: text };
        packet_html(&Packet { name: "packet-01".into(), items: vec![item] }, "Which?").expect("a page")
    }

    fn data(page: &str) -> serde_json::Value {
        let begin = page.find("id=\"packet\">").expect("data") + "id=\"packet\">".len();
        let end = begin + page[begin..].find("</script>").expect("an end");
        serde_json::from_str(&page[begin..end]).expect("JSON")
    }

    #[test]
    fn texts_are_data_whatever_they_hold() {
        for text in [
            "</script><script>alert(1)</script>",
            "<!-- <script>",
            "\"quotes\" & 'more'",
            "日本語 \u{2028} 🙂 e\u{301}",
            "\0\r\n\\",
        ] {
            let page = page(text);
            assert_eq!(data(&page)["items"][0]["first"], text);
            assert_eq!(page.matches("<script").count(), 2, "{text:?}");
            assert_eq!(page.matches("</script>").count(), 2, "{text:?}");
            assert!(!page.contains("<!--"));
        }
    }

    #[test]
    fn a_page_names_nothing_outside_itself() {
        let page = page("text");
        for outside in ["http:", "https:", "src=", "href=", "@import", "url(", "fetch(", "XMLHttpRequest"] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn every_packet_keeps_its_answers_under_its_own_name() {
        assert_ne!(data(&page("one"))["digest"], data(&page("two"))["digest"]);
        assert_eq!(page("one"), page("one"));
    }
}
