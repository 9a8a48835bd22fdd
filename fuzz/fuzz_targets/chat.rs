//! Chat templates: the input is chat_template.jinja, rendered on conversations of no, one and three messages.
#![no_main]

use dpo_lab::models::chat::{ChatTemplate, Message};
use dpo_lab_fuzz::{end_if_given_up, folder, write};

fn message((role, content): (&str, &str)) -> Message {
    Message { role: role.to_owned(), content: content.to_owned() }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let folder = folder(|folder| write(&folder.join("tokenizer_config.json"), br#"{"bos_token": "<s>", "eos_token": "</s>"}"#));
    write(&folder.join("chat_template.jinja"), data);
    let Ok(Some(template)) = ChatTemplate::open(folder) else { return };
    let conversation = [("system", "Be kind."), ("user", " Hé\n"), ("assistant", "")].map(message);
    for messages in [&conversation[..0], &conversation[1..2], &conversation] {
        if let Err(error) = template.render(messages, true) {
            end_if_given_up(&error);
        }
    }
});
