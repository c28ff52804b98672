//! The prompt languages of other tools.
//!
//! Contract: a prompt is text and nothing else. What other tools would read as an instruction is found here, each kind
//! once a prompt, with what to use instead. Plain English must not be taken for an instruction, so that single
//! parentheses, "C++" and "AND" in a prompt of capitals are none.

/// An instruction of another tool, as it is written in a prompt, with what to do instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ForeignSyntax {
    /// The part of the prompt.
    pub found: String,
    /// What to do instead.
    pub advice: &'static str,
}

const WEIGHT: &str = "use `equalizer` to scale the attention of a word, such as {\"word\": \"cat\", \"strength\": 1.3}";
const LESS: &str = "use `equalizer` with a strength below 1 to weaken a word";
const SCHEDULE: &str = "use an edit: the first text as the source prompt, the second as the target prompt, and \
                        `cross_replace_steps` for the steps";
const SWAP: &str = "use an edit: the source prompt with the first text, and the target prompt with the second";
const ADAPTER: &str = "adapters and embeddings cannot be named in a prompt";
const PARTS: &str = "a prompt is encoded as one text; write its parts as one sentence";
const CHOICE: &str = "alternatives are not expanded; send a request for each";
const FLAGS: &str = "use the fields of the request for size, seed and the like";
const ESCAPE: &str = "parentheses need no backslash";

/// The instructions in a prompt, in the order of their kinds.
pub(crate) fn foreign_syntax(prompt: &str) -> Vec<ForeignSyntax> {
    let is_shouted = !prompt.contains(char::is_lowercase);
    let words = || prompt.split_whitespace().map(|word| word.trim_end_matches([',', '.', ';']));
    let word_that = |test: &dyn Fn(&str) -> bool| words().find(|word| test(word)).map(str::to_owned);
    let kinds = [
        (enclosed(prompt, '<', '>').find(|inner| is_adapter(inner)).map(|inner| format!("<{inner}>")), ADAPTER),
        (word_that(&|word| word.starts_with("embedding:") && word.len() > "embedding:".len()), ADAPTER),
        (enclosed(prompt, '(', ')').find(|inner| has_weight(inner)).map(|inner| format!("({inner})")), WEIGHT),
        (enclosed(prompt, '(', ')').find(|inner| inner.starts_with('(')).map(|inner| format!("({inner})")), WEIGHT),
        (weight_after(prompt), WEIGHT),
        (word_that(&|word| has_marks(word, '+', 1)), WEIGHT),
        (word_that(&|word| has_marks(word, '-', 2)), LESS),
        (word_that(&|word| word.contains("::")), WEIGHT),
        (enclosed(prompt, '[', ']').find(|inner| inner.contains(':')).map(|inner| format!("[{inner}]")), SCHEDULE),
        (enclosed(prompt, '[', ']').find(|inner| inner.contains('|')).map(|inner| format!("[{inner}]")), CHOICE),
        (enclosed(prompt, '[', ']').find(|inner| is_plain(inner)).map(|inner| format!("[{inner}]")), LESS),
        (enclosed(prompt, '{', '}').find(|inner| inner.contains('|')).map(|inner| format!("{{{inner}}}")), CHOICE),
        (enclosed(prompt, '{', '}').find(|inner| is_plain(inner)).map(|inner| format!("{{{inner}}}")), WEIGHT),
        (word_that(&|word| word.len() > 4 && word.starts_with("__") && word.ends_with("__")), CHOICE),
        (call(prompt, ".swap("), SWAP),
        ([".and(", ".blend("].iter().find_map(|name| call(prompt, name)), PARTS),
        (word_that(&|word| !is_shouted && matches!(word, "BREAK" | "AND")), PARTS),
        (word_that(&|word| word.strip_prefix("--").is_some_and(|flag| flag.starts_with(char::is_alphabetic))), FLAGS),
        (["\\(", "\\)"].iter().find(|escape| prompt.contains(**escape)).map(|escape| (*escape).to_owned()), ESCAPE),
    ];
    let found = kinds.into_iter().filter_map(|(found, advice)| Some(ForeignSyntax { found: found?, advice }));
    found.collect()
}

/// The texts between a pair of brackets, from the outside in.
fn enclosed(prompt: &str, open: char, close: char) -> impl Iterator<Item = &str> {
    prompt.match_indices(open).filter_map(move |(start, _)| {
        let inner = &prompt[start + open.len_utf8()..];
        let mut depth = 1_usize;
        let end = inner.char_indices().find(|&(_, c)| {
            if c == open {
                depth += 1;
            } else if c == close {
                depth -= 1;
            }
            depth == 0
        })?;
        Some(&inner[..end.0])
    })
}

/// Words in brackets that mean nothing else.
fn is_plain(inner: &str) -> bool {
    inner.contains(char::is_alphabetic) && !inner.contains(['|', ':'])
}

/// `lora:name:0.8`.
fn is_adapter(inner: &str) -> bool {
    let kind = inner.split(':').next().unwrap_or_default().to_lowercase();
    inner.contains(':') && matches!(kind.as_str(), "lora" | "lyco" | "hypernet" | "wlr" | "embedding")
}

/// `cat:1.3`.
fn has_weight(inner: &str) -> bool {
    let weighted = inner.rsplit_once(':');
    weighted.is_some_and(|(text, weight)| text.contains(char::is_alphabetic) && is_number(weight.trim()))
}

fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) && text.parse::<f64>().is_ok()
}

/// `(a cat)1.3` and `(a cat)++`.
fn weight_after(prompt: &str) -> Option<String> {
    prompt.match_indices(')').find_map(|(at, _)| {
        let after = prompt[at + 1..].split(|c: char| c.is_whitespace() || c == ',').next().unwrap_or_default();
        let is_weight = is_number(after) || !after.is_empty() && after.chars().all(|c| c == '+' || c == '-');
        let start = prompt[..at].rfind('(')?;
        is_weight.then(|| format!("{}{after}", &prompt[start..=at]))
    })
}

/// A word of two letters or more with marks at its end: `cat++`, but not `C++` and `18+`.
fn has_marks(word: &str, mark: char, least: usize) -> bool {
    let bare = word.trim_end_matches(mark);
    let letters = bare.chars().filter(|c| c.is_alphabetic()).count();
    word.chars().count() - bare.chars().count() >= least && letters > 1 && bare.ends_with(char::is_alphanumeric)
}

/// `cat.swap(dog)`.
fn call(prompt: &str, name: &str) -> Option<String> {
    let at = prompt.find(name)?;
    let start = prompt[..at].rfind(char::is_whitespace).map_or(0, |space| space + 1);
    let end = prompt[at..].find(')').map_or(prompt.len(), |close| at + close + 1);
    Some(prompt[start..end].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(prompt: &str) -> Vec<String> {
        foreign_syntax(prompt).into_iter().map(|syntax| syntax.found).collect()
    }

    #[test]
    fn instructions_of_other_tools_are_found() {
        let prompts = [
            ("a (cat:1.3) on grass", "(cat:1.3)"),
            ("a (very big cat: 0.5), sitting", "(very big cat: 0.5)"),
            ("((masterpiece)), a cat", "((masterpiece))"),
            ("a (red cat)1.2 here", "(red cat)1.2"),
            ("a (red cat)++ here", "(red cat)++"),
            ("a cat++ on grass", "cat++"),
            ("a cat+, on grass", "cat+"),
            ("a cat-- on grass", "cat--"),
            ("hot:: dog", "hot::"),
            ("a [rusty] car", "[rusty]"),
            ("a [cat:dog:0.5]", "[cat:dog:0.5]"),
            ("a [cat|dog]", "[cat|dog]"),
            ("a {cat|dog}", "{cat|dog}"),
            ("a {cat}", "{cat}"),
            ("a cat <lora:style:0.8>", "<lora:style:0.8>"),
            ("a cat <LoRA:style>", "<LoRA:style>"),
            ("a cat, embedding:easynegative", "embedding:easynegative"),
            ("a __animal__ here", "__animal__"),
            ("a cat.swap(dog) here", "cat.swap(dog)"),
            ("(\"a cat\", \"a dog\").and()", "dog\").and()"),
            ("a cat BREAK on grass", "BREAK"),
            ("a cat AND a dog", "AND"),
            ("a cat --ar 16:9", "--ar"),
            ("a cat \\(animal", "\\("),
        ];
        for (prompt, expected) in prompts {
            assert_eq!(found(prompt), [expected], "{prompt}");
        }
    }

    #[test]
    fn plain_text_is_left_alone() {
        let prompts = [
            "a photo of a cat (sleeping), at 10:30, ratio 4:5",
            "a book about C++, rated 18+, grade A+",
            "A CAT AND A DOG",
            "a well-known cat - painted in oil - here",
            "a <cat-toy> on the floor",
            "2 < 3 and 5 > 4 [1] {2}",
            "the time: noon",
            "",
            "公园里的猫 café ()[]{}<>",
        ];
        for prompt in prompts {
            assert_eq!(found(prompt), Vec::<String>::new(), "{prompt}");
        }
    }

    #[test]
    fn each_kind_is_found_once() {
        assert_eq!(found("(a:1.1) (b:1.2) [c] [d]"), ["(a:1.1)", "[c]"]);
    }
}
