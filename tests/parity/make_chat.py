#!/usr/bin/env python3
"""Render chats with transformers' apply_chat_template, for dpo-lab's own renderer to match.

How to run it (nothing is fetched; packages: requirements.txt, and jinja2 3.1):

    .venv/bin/python tests/parity/make_chat.py            # writes chat/ beside this file
    .venv/bin/python tests/parity/make_chat.py --out DIR  # writes DIR/chat/
    .venv/bin/python tests/parity/make_chat.py --check    # compares, writes nothing

What it makes: chat/cases.json, a list of

    name, template, messages, add_generation_prompt
    bos_token, eos_token   a string, or null: the tokenizer has none (not defined in the template)
    rendered               the text, or instead of it
    error                  true, with error_message: the template refuses the chat

The templates were written for this file: each uses another part of what templates out there use.
The environment is transformers': trim_blocks and lstrip_blocks, tojson as json.dumps (no escaping
of HTML, not ASCII only), raise_exception, strftime_now; tools and documents are defined, as none.
"""

import argparse
import json
import sys
from pathlib import Path

from jinja2.exceptions import TemplateError
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from make_fixtures import HERE, differences, dump

# ---------------------------------------------------------------- templates

# Roles between markers, and a generation prompt. Line ends after {{ }} stay, after {% %} they go;
# the very last one goes too.
CHATML = r"""{% for message in messages %}
{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' }}
{% endfor %}
{% if add_generation_prompt %}
{{ '<|im_start|>assistant' }}
{% endif %}
"""

# A header line for each message, the first after bos_token; a date, if there is a clock. (The
# format names no part of the date, so the text is the same with a clock and without.)
HEADERS = r"""{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("26 Jul 2024") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\n\n" }}
{{- "Today is " ~ date_string ~ ".\n" }}
{%- if tools is not none %}
    {{- "Tools: " ~ (tools | length) }}
{%- endif %}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' -}}
    {{- message['content'] | trim }}{{ '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}"""

# Turns that must alternate; a system message goes into the first of them.
INST = r"""{{ bos_token }}
{%- if messages[0].role == "system" %}
{%- set system = messages[0].content %}{% set turns = messages[1:] %}
{%- else %}
{%- set turns = messages %}
{%- endif %}
{%- for m in turns %}
{%- if (m.role == "user") != (loop.index0 % 2 == 0) %}
{{- raise_exception("roles must alternate: user, assistant, user, ...") }}
{%- endif %}
{%- if m.role == "user" %}
{%- if loop.first and system is defined %}
{{- " [INST] " + system + "\n\n" + m.content + " [/INST]" }}
{%- else %}
{{- " [INST] " ~ m.content ~ " [/INST]" }}
{%- endif %}
{%- elif m.role == "assistant" %}
{{- " " + m.content.strip() + eos_token }}
{%- else %}
{{- raise_exception("unknown role " + m.role) }}
{%- endif %}
{%- endfor %}
"""

# A default system message, the loop's variables, a macro and a conditional expression.
NUMBERED = r"""{% macro line(n, who, text) -%}
  {{ n }}. {{ who | upper }}: {{ text }}
{%- endmacro -%}
{% for message in messages %}
  {% if loop.first and message.role != 'system' %}
{{ line(0, 'system', 'You are a helpful assistant.') }}
  {% endif %}
  {# what follows is one line for each message #}
{{ line(loop.index0 if messages[0].role == 'system' else loop.index, message['role'], message['content']) }}{{ ' (last of ' ~ loop.length ~ ')' if loop.last else '' }}
  {% if message.role == 'assistant' and not loop.last %}{{ eos_token }}
  {% endif %}
{% endfor %}
{% if add_generation_prompt %}{{ messages | length + 1 }}. ASSISTANT:{% endif %}"""

# A namespace set inside a loop, string methods, reversed slices: thoughts are cut out of all
# answers before the last question.
THOUGHTS = r"""{%- set ns = namespace(last_question=-1, seen=0) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages | length - 1) - loop.index0 %}
    {%- if ns.last_question < 0 and message.role == "user" %}
        {%- set ns.last_question = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if message.role == "assistant" %}
        {%- set thought = '' %}
        {%- if message.reasoning_content is defined and message.reasoning_content is not none %}
            {%- set thought = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set thought = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\n') %}
        {%- endif %}
        {%- set ns.seen = ns.seen + 1 %}
        {{- '<|im_start|>assistant\n' }}
        {%- if loop.index0 > ns.last_question and (loop.last or thought) %}
            {{- '<think>\n' + thought.strip('\n') + '\n</think>\n\n' }}
        {%- endif %}
        {{- content.strip() + '<|im_end|>\n' }}
    {%- elif message.role in ["user", "system"] and not message.role.startswith('x') %}
        {{- '<|im_start|>' + message.role + '\n' + content + '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\n\n</think>\n\n' }}
    {%- endif %}
{%- endif %}
{{- '[' ~ ns.seen ~ ' answers]' }}"""

# tojson, whitespace control of all kinds, filters and tests.
JSON = r"""
{%- set roles = messages | map(attribute='role') | join(',') -%}
{{ bos_token if bos_token is defined and bos_token else '<none>' }} {{- ' ' + roles }}

{%- for message in messages if message.role != 'system' %}

  {%- set label = {'user': 'Q', 'assistant': 'A'}.get(message.role, '?') %}

  {{ label }}={{ message['content'] | tojson }}
{%- endfor %}

  {% if messages[-1].role == 'user' -%}
      {{ messages[-1] | tojson }}
  {%- else -%}
      {{ (messages | selectattr('role', 'equalto', 'user') | list | length) | string | tojson }}
  {%- endif %}
     tail   {{ missing | default('none given') }}, {{ messages[0].content | replace('e', '3') | upper }}
{%- if add_generation_prompt -%}
  A=
{%- endif %}

"""

# ---------------------------------------------------------------- chats


def chat(*turns):
    names = {"s": "system", "u": "user", "a": "assistant"}
    return [{"role": names.get(role, role), "content": text} for role, text in turns]


ONE = chat(("u", "What is 2 + 2?"))
THREE = chat(("u", "Hello!"), ("a", "Hi, how can I help? "), ("u", "Name a river."))
SYSTEM = chat(("s", " Answer in one word.\n"), ("u", "Capital of France?"), ("a", "Paris"))
LONG = chat(("s", "Be brief."), ("u", "a"), ("a", "b"), ("u", "c"), ("a", "d"), ("u", "e"))
ODD = chat(("u", "  <b>\"Zoë\"</b> & 'co' \\ 日本 🙂\n\tline two\n\n"),
           ("a", "{{ not.a.template }} {% raw %} </s>\r\n"), ("u", ""))
THOUGHT = chat(("u", "one"), ("a", "<think>\nolder\n</think>\n\nfirst"), ("u", "two"),
               ("a", "<think>\nnewer\nstill\n</think>\n\nsecond  "))
REASONED = [*ONE, {"role": "assistant", "content": "4", "reasoning_content": "\nadd\n"}]
TWO_USERS = chat(("u", "one"), ("u", "two"))
TOOL_ROLE = chat(("u", "one"), ("tool", "two"))
ANSWER_FIRST = chat(("a", "I start."), ("u", "No."))
LATE_SYSTEM = chat(("u", "one"), ("s", "two"))

CHATS = {"one": ONE, "three": THREE, "system": SYSTEM, "long": LONG, "odd": ODD}

# name: (template, bos_token, eos_token, chats besides those for every template)
TEMPLATES = {
    "chatml": (CHATML, None, "<|im_end|>", {"late_system": LATE_SYSTEM}),
    "headers": (HEADERS, "<|begin_of_text|>", "<|eot_id|>", {}),
    "inst": (INST, "<s>", "</s>", {
        "two_users": TWO_USERS, "tool_role": TOOL_ROLE, "answer_first": ANSWER_FIRST,
        "late_system": LATE_SYSTEM}),
    "numbered": (NUMBERED, None, "</s>", {"answer_first": ANSWER_FIRST}),
    "thoughts": (THOUGHTS, None, "<|im_end|>", {
        "thought": THOUGHT, "reasoned": REASONED, "tool_role": TOOL_ROLE}),
    "json": (JSON, "<bos>", None, {"tool_role": TOOL_ROLE}),
    "json_no_bos": (JSON, None, None, {}),
}

# ---------------------------------------------------------------- rendering


def make_cases():
    cases = []
    for template_name, (template, bos, eos, more) in TEMPLATES.items():
        tok = PreTrainedTokenizerFast(
            tokenizer_object=Tokenizer(WordLevel({"?": 0}, unk_token="?")),
            bos_token=bos, eos_token=eos)
        chats = {"one": ONE} if template_name == "json_no_bos" else CHATS | more
        for chat_name, messages in chats.items():
            for prompt in (False, True):
                case = {
                    "name": f"{template_name}/{chat_name}{'/prompt' if prompt else ''}",
                    "template": template,
                    "bos_token": bos,
                    "eos_token": eos,
                    "messages": messages,
                    "add_generation_prompt": prompt,
                }
                try:
                    case["rendered"] = tok.apply_chat_template(
                        messages, chat_template=template, add_generation_prompt=prompt,
                        tokenize=False)
                except TemplateError as e:
                    case |= {"error": True, "error_message": e.message}
                cases.append(case)
    return cases


def main():
    ap = argparse.ArgumentParser(description="Make dpo-lab's chat template fixtures.")
    ap.add_argument("--out", type=Path, default=HERE)
    ap.add_argument("--check", action="store_true", help="make them and compare with --out")
    args = ap.parse_args()
    path, cases = args.out / "chat" / "cases.json", make_cases()
    if args.check:
        bad = list(differences(json.loads(path.read_text()), cases))
        print("\n".join(bad) if bad else "fixtures agree")
        return 1 if bad else 0
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dump(cases) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
