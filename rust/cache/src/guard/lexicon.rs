//! Closed lists of words: what a word does in a sentence, and which words are the same. English first; of other
//! languages articles, courtesies, negations and question words. A word that no list has is content.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::LazyLock;

use super::spelling::lemma;

/// What a word does in a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sense {
    /// Nothing that a list knows: it carries the meaning.
    Content,
    // Words that say nothing of what is asked.
    Article,
    Courtesy,
    Greeting,
    // Verbs of which only the tense counts.
    Be,
    Was,
    Do,
    Did,
    Have,
    Had,
    Going,
    // Modal verbs.
    Can,
    May,
    Must,
    Should,
    Would,
    Will,
    // Who speaks of whom.
    I,
    You,
    We,
    Person,
    // Words of courtesies and of questions in a wrapping.
    Tell,
    Explain,
    Give,
    Order,
    Help,
    Know,
    Like,
    Want,
    Wonder,
    Mind,
    Bother,
    Definition,
    Define,
    Mean,
    Way,
    Reason,
    Come,
    About,
    // Question words.
    What,
    Who,
    When,
    Where,
    Why,
    How,
    // What vetoes look at.
    Measure,
    Not,
    Quantifier,
    Relation,
    To,
    And,
    Symmetric,
    Dropped,
    Number,
    Multiplier,
    Unit,
    Date,
    /// There is no word.
    End,
}

/// Languages with lists, as bits. A word may belong to several.
pub(super) mod language {
    pub(crate) const ENGLISH: u8 = 1;
    pub(crate) const GERMAN: u8 = 1 << 1;
    pub(crate) const FRENCH: u8 = 1 << 2;
    pub(crate) const SPANISH: u8 = 1 << 3;
    pub(crate) const ITALIAN: u8 = 1 << 4;
    pub(crate) const PORTUGUESE: u8 = 1 << 5;
    pub(crate) const DUTCH: u8 = 1 << 6;
    pub(crate) const SLAVIC: u8 = 1 << 7;
}

/// A word of a list: what it is compared by, and what it does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meaning {
    pub(super) hash: u32,
    pub(super) sense: Sense,
}

/// A word that stands for two, as `dont` does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contraction {
    pub(super) first: Meaning,
    pub(super) second: Meaning,
}

#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, hash: u32) {
        // hashbrown takes its control bits from the top.
        self.0 = (self.0 ^ u64::from(hash)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

type Table<V> = HashMap<u32, V, BuildHasherDefault<AsIs>>;

/// All lists by the hash of the folded word.
pub(super) struct Lexicon {
    english: Table<Meaning>,
    contractions: Table<Contraction>,
    past: Table<Meaning>,
    pairs: Table<(u32, Meaning)>,
    others: Table<(u8, Meaning)>,
    negatable: Table<()>,
    time_bound: Table<()>,
    personal: Table<()>,
    suspicious: Table<()>,
}

/// FNV-1a of 64 bits, folded: words are short, and most of what would be faster pays off later.
pub(super) fn hash(word: &[u8]) -> u32 {
    let full = word.iter().fold(0xCBF2_9CE4_8422_2325, |state: u64, byte| {
        (state ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3)
    });
    (full ^ (full >> 32)) as u32
}

impl Lexicon {
    pub(super) fn get() -> &'static Self {
        static LEXICON: LazyLock<Lexicon> = LazyLock::new(Lexicon::build);
        &LEXICON
    }

    pub(super) fn english(&self, word: u32) -> Option<Meaning> {
        self.english.get(&word).copied()
    }

    pub(super) fn contraction(&self, word: u32) -> Option<Contraction> {
        self.contractions.get(&word).copied()
    }

    /// The verb of which `word` is the past.
    pub(super) fn past(&self, word: u32) -> Option<Meaning> {
        self.past.get(&word).copied()
    }

    /// What two words that follow each other are, if they are one.
    pub(super) fn pair(&self, first: u32, second: u32) -> Option<Meaning> {
        self.pairs
            .get(&(first.rotate_left(5) ^ second))
            .filter(|(own, _)| *own == first)
            .map(|(_, meaning)| *meaning)
    }

    pub(super) fn other(&self, word: u32) -> Option<(u8, Meaning)> {
        self.others.get(&word).copied()
    }

    pub(super) fn is_negatable(&self, word: u32) -> bool {
        self.negatable.contains_key(&word)
    }

    pub(super) fn is_time_bound(&self, word: u32) -> bool {
        self.time_bound.contains_key(&word)
    }

    pub(super) fn is_personal(&self, word: u32) -> bool {
        self.personal.contains_key(&word)
    }

    /// Whether a text with this word, as it is written, may be time-bound or personal.
    pub(super) fn is_suspicious(&self, word: u32) -> bool {
        self.suspicious.contains_key(&word)
    }

    fn build() -> Self {
        let mut english = Table::default();
        for (sense, words) in ENGLISH {
            for word in words.split_whitespace() {
                let word = hash(word.as_bytes());
                english.insert(word, Meaning { hash: word, sense: *sense });
            }
        }
        for (sense, groups) in SAME {
            for group in groups.split(';') {
                let mut words = group.split_whitespace().map(|word| hash(word.as_bytes()));
                let Some(first) = words.next() else { continue };
                // A canonical word may itself be in a list above.
                let meaning = *english.entry(first).or_insert(Meaning { hash: first, sense: *sense });
                for word in words {
                    english.insert(word, meaning);
                }
            }
        }
        for (value, words) in NUMBERS {
            for word in words.split_whitespace() {
                let sense = if *value >= 100 { Sense::Multiplier } else { Sense::Number };
                english.insert(hash(word.as_bytes()), Meaning { hash: *value, sense });
            }
        }
        let meaning = |word: &str| {
            let word = hash(word.as_bytes());
            english.get(&word).copied().unwrap_or(Meaning { hash: word, sense: Sense::Content })
        };
        let contractions = CONTRACTIONS
            .iter()
            .map(|(word, first, second)| {
                (hash(word.as_bytes()), Contraction { first: meaning(first), second: meaning(second) })
            })
            .collect();
        let past = PAST
            .split(';')
            .filter_map(|pair| pair.trim().split_once(' '))
            .map(|(past, verb)| (hash(past.as_bytes()), meaning(verb)))
            .collect();
        let pairs = PAIRS
            .iter()
            .map(|(first, second, word)| {
                let [first, second] = [first, second].map(|each| hash(each.as_bytes()));
                (first.rotate_left(5) ^ second, (first, meaning(word)))
            })
            .collect();
        let mut others: Table<(u8, Meaning)> = Table::default();
        for (languages, sense, words) in OTHERS {
            for group in words.split(';') {
                let mut first = None;
                for word in group.split_whitespace() {
                    let word = hash(word.as_bytes());
                    let first = *first.get_or_insert(word);
                    let known = others.entry(word).or_insert((0, Meaning { hash: first, sense: *sense }));
                    known.0 |= languages;
                }
            }
        }
        let set_of = |words: &'static str| words.split_whitespace().map(|word| (hash(word.as_bytes()), ()));
        let set = |words: &'static str| set_of(words).collect();
        let forms = |words: &str| {
            let known = |word: &str| english.get(&hash(word.as_bytes())).map(|known| known.hash);
            let form = |word: &str| known(word).unwrap_or_else(|| lemma(word.as_bytes()));
            words.split_whitespace().map(|word| (form(word), ())).collect()
        };
        Self {
            contractions,
            past,
            pairs,
            others,
            negatable: set(NEGATABLE),
            time_bound: forms(TIME_BOUND),
            personal: set(PERSONAL),
            suspicious: [TIME_BOUND, PERSONAL, OF_THIS_TIME].into_iter().flat_map(set_of).collect(),
            english,
        }
    }
}

const ENGLISH: &[(Sense, &str)] = &[
    (Sense::Article, "a an the"),
    (
        Sense::Courtesy,
        "please kindly thanks thank pls plz just actually basically exactly literally um uh hmm ok okay",
    ),
    (Sense::Greeting, "hello hi hey dear greetings so well"),
    (Sense::Be, "is are am be been being"),
    (Sense::Was, "was were"),
    (Sense::Do, "do does"),
    (Sense::Did, "did"),
    (Sense::Have, "have has having"),
    (Sense::Had, "had"),
    (Sense::Going, "going gonna"),
    (Sense::Can, "can could"),
    (Sense::May, "may might"),
    (Sense::Must, "must"),
    (Sense::Should, "should"),
    (Sense::Would, "would"),
    (Sense::Will, "will shall"),
    (Sense::I, "i me"),
    (Sense::You, "you u"),
    (Sense::We, "we us"),
    (
        Sense::Person,
        "my mine your yours our ours he him his she her hers they them their theirs myself yourself himself \
         herself themselves someone somebody anyone anybody everyone everybody",
    ),
    (Sense::Tell, "tell telling"),
    (Sense::Explain, "explain describe explaining"),
    (Sense::Give, "give show provide write list name make create generate find suggest recommend"),
    (Sense::Order, "translate convert summarize calculate compute solve draft rewrite check fix compose"),
    (Sense::Help, "help"),
    (Sense::Know, "know understand"),
    (Sense::Like, "like"),
    (Sense::Want, "want need"),
    (Sense::Wonder, "wonder wondering"),
    (Sense::Mind, "mind"),
    (Sense::Bother, "bother"),
    (Sense::Definition, "definition meaning"),
    (Sense::Mean, "mean meant"),
    (Sense::Define, "define"),
    (Sense::Way, "way ways method methods steps"),
    (Sense::Reason, "reason reasons"),
    (Sense::Come, "come"),
    (Sense::About, "about"),
    (Sense::What, "what which"),
    (Sense::Who, "who whom"),
    (Sense::When, "when"),
    (Sense::Where, "where"),
    (Sense::Why, "why"),
    (Sense::How, "how"),
    (Sense::Measure, "many much long far old often big tall high deep fast wide heavy"),
    (Sense::Not, "not no non never none nobody nothing nowhere neither nor without lack lacks except"),
    (
        Sense::Quantifier,
        "all every each any some few most more less fewer least both either only also always sometimes usually \
         rarely several another other others half entire whole enough too almost nearly about",
    ),
    (
        Sense::Relation,
        "from into onto in on at for with by over under above below before after during since until till between \
         against than through across toward towards off out up down around near as via per or if because while \
         within outside inside behind beside besides beyond along among despite instead but unless though although \
         whether whose versus",
    ),
    (Sense::To, "to"),
    (Sense::And, "and"),
    (Sense::Symmetric, "difference similarity compare"),
    (Sense::Dropped, "of that there it its this these those"),
    (
        Sense::Date,
        "january february march april june july august september october november december monday tuesday \
         wednesday thursday friday saturday sunday spring summer autumn winter morning noon afternoon evening night \
         midnight bc ad",
    ),
    (Sense::Unit, "celsius fahrenheit kelvin yen stone"),
];

/// Words that are the same for a question, the first of each group being what they are compared by.
const SAME: &[(Sense, &str)] = &[
    (
        Sense::Unit,
        "kilometer kilometers kilometre kilometres km kms; meter meters metre metres; \
         centimeter centimeters centimetre centimetres cm; millimeter millimeters millimetre millimetres mm; \
         mile miles; inch inches; foot feet ft; yard yards yd; liter liters litre litres; \
         milliliter milliliters millilitre millilitres ml; gallon gallons; \
         kilogram kilograms kilo kilos kg kgs; gram grams gramme grammes; milligram milligrams mg; \
         ounce ounces oz; pound lb lbs; ton tons tonne tonnes; second seconds sec secs; minute minutes min mins; \
         hour hours hr hrs; day days; week weeks; month months; year years yr yrs; decade decades; \
         century centuries; kilobyte kilobytes kb; megabyte megabytes mb; gigabyte gigabytes gb; \
         terabyte terabytes tb; mph; kmh kph; dollar dollars usd; euro euros eur; pound pounds gbp; \
         yen jpy; cent cents; percent pct; degree degrees; acre acres; hectare hectares; watt watts; volt volts; \
         joule joules; calorie calories; byte bytes; bit bits; hertz hz",
    ),
    (
        Sense::Date,
        "january jan; february feb; april apr; august aug; september sep sept; october oct; november nov; \
         december dec; monday mon; tuesday tue tues; wednesday wed; thursday thu thurs; friday fri; autumn fall",
    ),
    (Sense::Symmetric, "difference differences; similarity similarities; compare comparing"),
    (Sense::Give, "suggest recommend"),
    (Sense::Quantifier, "most mostly; all entire; usually typically normally generally"),
    (Sense::Relation, "toward towards; until till; because since; versus vs"),
    (
        Sense::Content,
        "film films movie movies; car cars automobile automobiles; buy purchase; buying purchasing; begin start; \
         beginning starting; fix repair; fixing repairing; fast quick; fastest quickest; faster quicker; \
         quickly rapidly; large big; largest biggest; larger bigger; difficult hard; doctor doctors physician \
         physicians; child kid kids children; photo photos picture pictures photograph photographs; \
         phone phones telephone telephones; tv tvs television televisions; bike bikes bicycle bicycles; \
         fridge fridges refrigerator refrigerators; ad ads advertisement advertisements; \
         exam exams examination; math maths mathematics; help assist aid; mistake mistakes error errors; \
         gift gifts present presents; sofa sofas couch couches; earn earns; founded established; \
         happen occur; happens occurs; happened occurred; job jobs occupation; city cities; \
         attorney attorneys lawyer lawyers; airplane airplanes plane planes aeroplane aeroplanes aircraft; \
          shop shops store stores; ill sick; illness illnesses sickness; \
         trash garbage rubbish; allow permit; allowed permitted; reply respond; attempt try; \
         finish complete; finished completed; cheap inexpensive; cheapest; smart clever; \
         brief short; quiet silent; wealthy rich; frequent common; odd strange; \
         vehicle vehicles; biography bio; application applications app apps; info information; \
         dictionary dictionaries dict dicts; repository repositories repo repos; database databases db; \
         javascript js; typescript ts; python py; kubernetes k8s; postgresql postgres; \
         mom moms mum mums mother mothers; dad dads father fathers; grandma grandmother; grandpa grandfather; \
         usa; uk; man men; woman women; person people persons; tooth teeth; mouse mice; goose geese; \
         knife knives; wife wives; leaf leaves; wolf wolves; shelf shelves; loaf loaves; thief thieves; \
         bus buses; gas gases; virus viruses; analysis analyses; crisis crises; criterion criteria; \
         datum data;  phenomenon phenomena; news; glasses; arms; goods; customs; means; \
         series; species; clothes; always; perhaps maybe; also; \
         color colour; gray grey; tire tyre; aluminum aluminium; defense defence; offense offence; \
         license licence; pretense pretence; program programme programs programmes; practice practise; \
         yogurt yoghurt yogurts yoghurts; plow plough; pajamas pyjamas; curb kerb; skeptical sceptical; \
         jewelry jewellery; mustache moustache; donut doughnut donuts doughnuts; check cheque; \
         center centre; centers centres; theater theatre; theaters theatres; fiber fibre; fibers fibres; \
         caliber calibre; somber sombre; favorite favourite; favorites favourites; favorable favourable; \
         colored coloured; colorful colourful; flavored flavoured; neighborhood neighbourhood; \
         neighborhoods neighbourhoods; honored honoured; behavior behaviour; fulfill fulfil; enroll enrol; \
         skillful skilful; install instal; judgment judgement; aging ageing; wi-fi wifi; email e-mail",
    ),
];

const NUMBERS: &[(u32, &str)] = &[
    (0, "zero"),
    (1, "one"),
    (2, "two"),
    (3, "three"),
    (4, "four"),
    (5, "five"),
    (6, "six"),
    (7, "seven"),
    (8, "eight"),
    (9, "nine"),
    (10, "ten"),
    (11, "eleven"),
    (12, "twelve dozen"),
    (13, "thirteen"),
    (14, "fourteen"),
    (15, "fifteen"),
    (16, "sixteen"),
    (17, "seventeen"),
    (18, "eighteen"),
    (19, "nineteen"),
    (20, "twenty"),
    (30, "thirty"),
    (40, "forty fourty"),
    (50, "fifty"),
    (60, "sixty"),
    (70, "seventy"),
    (80, "eighty"),
    (90, "ninety"),
    (100, "hundred hundreds"),
    (1_000, "thousand thousands"),
    (1_000_000, "million millions"),
    (1_000_000_000, "billion billions"),
];

/// Forms that are only the past of a verb, and that verb.
const PAST: &str = "began begin; went go; wrote write; took take; gave give; came come; knew know; grew grow; flew fly; \
         drew draw; threw throw; ate eat; drank drink; sang sing; swam swim; rang ring; broke break; spoke speak; \
         stole steal; chose choose; drove drive; rode ride; became become; forgot forget; woke wake; wore wear; tore tear; \
         shook shake; froze freeze; blew blow; sank sink";

/// Words that are written in one without an apostrophe, or are two with it.
const CONTRACTIONS: &[(&str, &str, &str)] = &[
    ("cannot", "can", "not"),
    ("cant", "can", "not"),
    ("dont", "do", "not"),
    ("doesnt", "does", "not"),
    ("didnt", "did", "not"),
    ("isnt", "is", "not"),
    ("arent", "are", "not"),
    ("wasnt", "was", "not"),
    ("werent", "were", "not"),
    ("wont", "will", "not"),
    ("wouldnt", "would", "not"),
    ("shouldnt", "should", "not"),
    ("couldnt", "could", "not"),
    ("hasnt", "has", "not"),
    ("havent", "have", "not"),
    ("hadnt", "had", "not"),
    ("mustnt", "must", "not"),
    ("whats", "what", "is"),
    ("whos", "who", "is"),
    ("wheres", "where", "is"),
    ("whens", "when", "is"),
    ("hows", "how", "is"),
    ("whys", "why", "is"),
    ("thats", "that", "is"),
    ("theres", "there", "is"),
    ("im", "i", "is"),
    ("ive", "i", "have"),
    ("youre", "you", "is"),
    ("theyre", "they", "is"),
    ("wanna", "want", "to"),
];

/// Two words that are one.
const PAIRS: &[(&str, &str, &str)] = &[
    ("united", "state", "usa"),
    ("united", "kingdom", "uk"),
    ("united", "nation", "un"),
    ("artificial", "intelligence", "ai"),
    ("get", "rid", "eliminate"),
    ("good", "morning", "hello"),
    ("good", "afternoon", "hello"),
    ("good", "evening", "hello"),
    ("excuse", "me", "hello"),
    ("hey", "there", "hello"),
    ("at", "least", "atleast"),
    ("at", "most", "atmost"),
    ("per", "cent", "percent"),
    ("e", "mail", "email"),
    ("wi", "fi", "wifi"),
    ("por", "favor", "please"),
    ("per", "favore", "please"),
    ("s", "il", "sil"),
    ("sil", "vous", "silvous"),
    ("silvous", "plait", "please"),
    ("sil", "te", "silvous"),
];

/// Adjectives and participles that `un-`, `in-`, `il-`, `im-`, `ir-`, `non-` and `dis-` negate.
const NEGATABLE: &str = "able acceptable accurate active adequate affected appropriate available aware balanced \
         believable capable certain certified clear clean comfortable common complete conditional conscious consistent \
         constitutional correct cooked dependent desirable direct effective efficient eligible equal ethical even expected \
         fair familiar finished finite formal fortunate friendly happy healthy helpful honest important interesting \
         intentional known legal likely limited linear literate logical loyal magnetic married mature moral mortal natural \
         necessary official organic pleasant polite popular possible predictable prepared proper pure published readable \
         rational real realistic regular relevant reliable religious responsible reversible safe satisfied secure sensitive \
         stable successful sufficient suitable supervised sure sweetened tested toxic treated true trusted usual vaccinated \
         valid verified visible wanted willing";

/// What is asked about now, or about what changes from day to day.
const TIME_BOUND: &str = "today tonight tomorrow yesterday now currently current nowadays latest recent recently \
         weather forecast news upcoming ago lately todays heute morgen gestern jetzt aktuell aktuelle aktuellen neueste \
         neuesten wetter aujourdhui demain hier maintenant actuel actuelle actuellement meteo hoy manana ayer ahora \
         actualmente clima oggi domani ieri adesso attuale meteo hoje amanha ontem agora atual vandaag gisteren huidige \
         weer dzis dzisiaj jutro wczoraj teraz pogoda сегодня завтра вчера сейчас погода";

/// What may make a question one of this time.
const OF_THIS_TIME: &str = "this next last time day date";

/// What is asked about the one who asks.
const PERSONAL: &str = "my mine myself our ours mein meine meinen meinem meiner unser unsere mon ma mes notre nos mi mis \
         mio mia miei mie nuestro nuestra nuestros meu minha meus minhas nosso nossa mijn onze moj moja moje мой моя мое мои";

const OTHERS: &[(u8, Sense, &str)] = {
    use language::{DUTCH, FRENCH, GERMAN, ITALIAN, PORTUGUESE, SLAVIC, SPANISH};
    &[
        (GERMAN, Sense::Article, "der; die; das; den; dem; des; ein; eine; einen; einem; einer; eines"),
        (GERMAN, Sense::Courtesy, "bitte; danke; mal"),
        (
            GERMAN,
            Sense::Not,
            "nicht; kein keine keinen keinem keiner; nie; niemals; ohne; nichts; niemand; weder",
        ),
        (GERMAN, Sense::What, "was; welche welcher welches welchen welchem"),
        (GERMAN, Sense::Who, "wer wen wem"),
        (GERMAN, Sense::When, "wann"),
        (GERMAN, Sense::Where, "wo; woher; wohin"),
        (GERMAN, Sense::Why, "warum wieso weshalb"),
        (GERMAN, Sense::How, "wie"),
        (
            GERMAN,
            Sense::Relation,
            "ist; sind; hat; haben; wird; und; ich; man; du; mir; auf; von; für; mit; zu; im; sich",
        ),
        (FRENCH | SPANISH | ITALIAN, Sense::Article, "la"),
        (FRENCH | PORTUGUESE | SPANISH | DUTCH, Sense::Article, "de"),
        (FRENCH | SPANISH | ITALIAN, Sense::Article, "un"),
        (SPANISH | ITALIAN, Sense::Article, "una"),
        (FRENCH, Sense::Article, "le; les; l; une; des; du; d"),
        (FRENCH, Sense::Courtesy, "merci; svp"),
        (FRENCH, Sense::Not, "pas; jamais; sans; aucun aucune; rien; personne; ni"),
        (FRENCH, Sense::What, "quel quelle quels quelles; quoi; que qu"),
        (FRENCH, Sense::Who, "qui"),
        (FRENCH, Sense::When, "quand"),
        (FRENCH, Sense::Where, "ou"),
        (FRENCH, Sense::Why, "pourquoi"),
        (FRENCH, Sense::How, "comment; combien"),
        (
            FRENCH,
            Sense::Relation,
            "est; sont; et; dans; pour; je; il; ce; c; n; ne; a; sur; en; avec; par; au",
        ),
        (SPANISH, Sense::Article, "el; los; las; unos; unas; del"),
        (SPANISH, Sense::Courtesy, "gracias"),
        (SPANISH, Sense::Not, "no; nunca; sin; ningun ninguna ninguno; nada; nadie; tampoco; ni"),
        (SPANISH, Sense::What, "que; cual cuales"),
        (SPANISH, Sense::Who, "quien quienes"),
        (SPANISH, Sense::When, "cuando"),
        (SPANISH, Sense::Where, "donde; adonde"),
        (SPANISH, Sense::How, "como; cuanto cuantos cuanta cuantas"),
        (SPANISH, Sense::Relation, "es; son; esta; y; en; con; por; para; se; al; puedo; tiene; hay"),
        (ITALIAN, Sense::Article, "il; lo; gli; i; uno; del; della; dei; delle; di"),
        (ITALIAN, Sense::Courtesy, "grazie"),
        (ITALIAN, Sense::Not, "non; mai; senza; nessun nessuno nessuna; niente; nulla; ne"),
        (ITALIAN, Sense::What, "che; cosa; quale quali qual"),
        (ITALIAN, Sense::Who, "chi"),
        (ITALIAN, Sense::When, "quando"),
        (ITALIAN, Sense::Where, "dove"),
        (ITALIAN, Sense::Why, "perche"),
        (ITALIAN, Sense::How, "come; quanto quanti quanta quante"),
        (ITALIAN, Sense::Relation, "e; sono; si; per; sul; sulla; nel; nella; ha; una; con; posso"),
        (PORTUGUESE, Sense::Article, "o; os; as; um; uma; do; da; dos; das"),
        (PORTUGUESE, Sense::Courtesy, "obrigado; obrigada"),
        (PORTUGUESE, Sense::Not, "nao; nunca; sem; nenhum nenhuma; nada; ninguem; jamais"),
        (PORTUGUESE, Sense::What, "que; qual quais; quais"),
        (PORTUGUESE, Sense::Who, "quem"),
        (PORTUGUESE, Sense::When, "quando"),
        (PORTUGUESE, Sense::Where, "onde"),
        (PORTUGUESE, Sense::How, "como; quanto quantos quanta quantas"),
        (PORTUGUESE, Sense::Relation, "e; sao; em; no; na; com; para; por; se; posso; eu; tem"),
        (DUTCH, Sense::Article, "het; een"),
        (DUTCH, Sense::Courtesy, "alsjeblieft; alstublieft; bedankt"),
        (DUTCH, Sense::Not, "niet; geen; nooit; zonder; niets; niemand; noch"),
        (DUTCH, Sense::What, "wat; welke; welk"),
        (DUTCH, Sense::Who, "wie"),
        (DUTCH, Sense::When, "wanneer"),
        (DUTCH, Sense::Where, "waar"),
        (DUTCH, Sense::Why, "waarom"),
        (DUTCH, Sense::How, "hoe"),
        (DUTCH, Sense::Relation, "is; zijn; en; van; in; ik; je; kan; met; voor; op; heeft; wordt"),
        (SLAVIC, Sense::Courtesy, "prosze; dziekuje; пожалуйста; спасибо"),
        (
            SLAVIC,
            Sense::Not,
            "nie; nigdy; bez; nic; nikt; zaden zadna zadne; не; нет; ни; никогда; без; ничего; никто",
        ),
        (SLAVIC, Sense::What, "co; jaki jaka jakie; ktory ktora ktore; что; какой какая какое какие"),
        (SLAVIC, Sense::Who, "kto; кто"),
        (SLAVIC, Sense::When, "kiedy; когда"),
        (SLAVIC, Sense::Where, "gdzie; где"),
        (SLAVIC, Sense::Why, "dlaczego; почему; зачем"),
        (SLAVIC, Sense::How, "jak; ile; как; сколько"),
        (SLAVIC, Sense::Relation, "jest; sa; w; na; z; sie; это; и; в; на"),
    ]
};
