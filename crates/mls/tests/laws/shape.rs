//! The shape of an honest structure: its parts, its vectors, and what of it is signed. Edited by parts and written again, it
//! has right lengths and, where somebody signs, right signatures: so a lie about one part is met where it is judged.

use maypole_mls::{reader::Reader, writer::Write as _};
use maypole_testkit::forge::chance::Choices;

/// What a signature is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signed {
    /// A `FramedContent`.
    Framed,
    /// A leaf for a place in the tree.
    Leaf(u32),
    /// A KeyPackage.
    KeyPackage,
    /// A GroupInfo.
    GroupInfo,
}

/// Signs something, if anybody can.
pub(super) type Sign<'s> = dyn Fn(Signed, &[u8]) -> Option<Vec<u8>> + 's;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Parts that belong together.
    Parts,
    /// The same behind their length.
    Vector,
    /// Parts over which the next vector has a signature.
    Signed(Signed),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Open(Kind),
    Close,
    Bytes(Vec<u8>),
}

/// The shape of a structure.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape(Vec<Token>);

impl Shape {
    /// Takes a structure apart that can be read.
    pub(super) fn of(bytes: &[u8], grammar: impl FnOnce(&mut Self, &mut Reader<'_>)) -> Self {
        let mut shape = Self::default();
        let mut reader = Reader::new(bytes);
        grammar(&mut shape, &mut reader);
        reader.end().unwrap();
        assert!(shape.write(&|_, _| None) == bytes, "a shape is not that of its structure");
        shape
    }

    /// Writes it, signed by whoever signs.
    pub(super) fn write(&self, sign: &Sign<'_>) -> Vec<u8> {
        let mut open: Vec<(Kind, Vec<u8>)> = vec![(Kind::Parts, Vec::new())];
        let mut signature = None;
        for token in &self.0 {
            match token {
                Token::Open(kind) => open.push((*kind, Vec::new())),
                Token::Bytes(bytes) => open.last_mut().unwrap().1.put(bytes),
                Token::Close => {
                    let (kind, inside) = open.pop().unwrap();
                    let outside = &mut open.last_mut().unwrap().1;
                    match kind {
                        Kind::Parts => outside.put(&inside),
                        Kind::Vector => outside.put_opaque(&signature.take().unwrap_or(inside)),
                        Kind::Signed(what) => {
                            signature = sign(what, &inside);
                            outside.put(&inside);
                        }
                    }
                }
            }
        }
        open.pop().unwrap().1
    }

    /// Changes parts as an input says, until it ends or some changes were made.
    pub(super) fn edit(&mut self, choices: &mut Choices<'_>, changes: usize) {
        for _ in 0..changes {
            if choices.are_spent() || self.0.is_empty() {
                return;
            }
            let at = choices.below(self.0.len());
            let part = self.part(at);
            match choices.below(7) {
                0 => self.replace(part, vec![Token::Bytes(choices.some().to_vec())]),
                1 => {
                    let (place, mask) = (choices.byte(), choices.byte());
                    if let Token::Bytes(bytes) = &mut self.0[at]
                        && !bytes.is_empty()
                    {
                        let place = usize::from(place) % bytes.len();
                        bytes[place] ^= mask;
                    }
                }
                2 => self.replace(part, Vec::new()),
                3 => {
                    let copies = vec![self.0[part.clone()].to_vec(); 2 + choices.below(4)];
                    self.replace(part, copies.concat());
                }
                4 => {
                    let other = self.part(choices.below(self.0.len()));
                    let other = self.0[other].to_vec();
                    self.replace(part, other);
                }
                5 => {
                    let other = self.part(choices.below(self.0.len()));
                    let both = [&self.0[other], &self.0[part.clone()]].concat();
                    self.replace(part, both);
                }
                _ => {
                    let more = Token::Bytes(choices.some().to_vec());
                    self.replace(part.start..part.start, vec![more]);
                }
            }
        }
    }

    /// The whole of the part that begins, or ends, at a token.
    fn part(&self, at: usize) -> std::ops::Range<usize> {
        match &self.0[at] {
            Token::Bytes(_) => at..at + 1,
            Token::Open(_) => {
                let is_open = |token: &Token| matches!(token, Token::Open(_));
                at..at + 1 + matching(self.0[at..].iter(), is_open)
            }
            Token::Close => {
                let is_close = |token: &Token| *token == Token::Close;
                at - matching(self.0[..=at].iter().rev(), is_close)..at + 1
            }
        }
    }

    fn replace(&mut self, part: std::ops::Range<usize>, tokens: Vec<Token>) {
        self.0.splice(part, tokens);
    }

    pub(super) fn bytes(&mut self, reader: &mut Reader<'_>, count: usize) -> Vec<u8> {
        let bytes = reader.take(count, "honest").unwrap().to_vec();
        self.0.push(Token::Bytes(bytes.clone()));
        bytes
    }

    pub(super) fn byte(&mut self, reader: &mut Reader<'_>) -> u8 {
        self.bytes(reader, 1)[0]
    }

    pub(super) fn short(&mut self, reader: &mut Reader<'_>) -> u16 {
        self.bytes(reader, 2).iter().fold(0, |number, byte| number << 8 | u16::from(*byte))
    }

    pub(super) fn opaque(&mut self, reader: &mut Reader<'_>) {
        self.vector(reader, |shape, inside| {
            let count = inside.rest().len();
            shape.bytes(inside, count);
        });
    }

    fn enclosed(&mut self, kind: Kind, inside: impl FnOnce(&mut Self)) {
        self.0.push(Token::Open(kind));
        inside(self);
        self.0.push(Token::Close);
    }

    pub(super) fn parts(&mut self, reader: &mut Reader<'_>, inside: impl FnOnce(&mut Self, &mut Reader<'_>)) {
        self.enclosed(Kind::Parts, |shape| inside(shape, reader));
    }

    pub(super) fn signed(
        &mut self,
        reader: &mut Reader<'_>,
        what: Signed,
        inside: impl FnOnce(&mut Self, &mut Reader<'_>),
    ) {
        self.enclosed(Kind::Signed(what), |shape| inside(shape, reader));
        self.opaque(reader);
    }

    fn vector(&mut self, reader: &mut Reader<'_>, inside: impl FnOnce(&mut Self, &mut Reader<'_>)) {
        let mut within = reader.vector("honest").unwrap();
        self.enclosed(Kind::Vector, |shape| inside(shape, &mut within));
    }

    /// A vector of items, each a part.
    pub(super) fn list(&mut self, reader: &mut Reader<'_>, mut item: impl FnMut(&mut Self, &mut Reader<'_>)) {
        self.vector(reader, |shape, inside| {
            while !inside.rest().is_empty() {
                shape.parts(inside, &mut item);
            }
        });
    }
}

/// How far it is from the first token, which begins a part, to the one that ends it.
fn matching<'t>(mut tokens: impl Iterator<Item = &'t Token>, begins: impl Fn(&Token) -> bool) -> usize {
    let mut depth = 0usize;
    let ends = tokens.position(|token| {
        match token {
            Token::Bytes(_) => {}
            token if begins(token) => depth += 1,
            _ => depth -= 1,
        }
        depth == 0
    });
    ends.unwrap()
}
