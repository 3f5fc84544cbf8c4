"""Frequent words of languages in the Latin script, by which a short text is recognized.

Function words, question words, and the verbs of descriptions (wears, holds), because a short answer may have no other
frequent word.
"""

from __future__ import annotations

FUNCTION_WORDS: dict[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        "en": """the is are was were be been being a an of with and in on at to from by for as or but not no his her
            its their he she it they this that these those there what which who whose whom how where when why
            does do did has have had can could would will may might seems appears looks wears wearing wear holds
            holding hold stands standing sits sitting sit while into over under behind beside near next front
            down up out very some one two it's isn't doesn't what's who's where's i i'm you your we my me
            describe tell name list shows has eats 's -ing""",
        "es": """el la los las un una unos unas de del al a en con y o es está están son era ser sin por para que qué
            quién quiénes cómo dónde cuándo cuál cuáles cuánto cuántos cuántas su sus se le les lo no pero como
            más muy este esta ese esa hay lleva llevan tiene tienen sostiene parece mientras sobre junto detrás
            delante puesto puesta vestido sentado sentada mira desde hacia donde aparece describe dime luce
            escribe haciendo""",
        "fr": """le la les un une des du de d' l' à au aux en dans avec et ou est sont était être sans par pour que
            qui quoi quel quelle quels quelles comment où quand pourquoi combien son sa ses leur leurs se ne pas
            n' mais comme plus très ce cette ces c' il elle ils elles on y porte portent tient semble pendant
            sur sous derrière devant près chez assis assise debout vêtu vêtue est-ce qu'est-ce qu' a-t-il a-t-
            elle décrivez décris fait a boit mange dit voit voit-on lit regarde sourit-elle porte-t-il porte-t-
            elle refuse""",
        "de": """der die das den dem des ein eine einen einem einer eines und oder ist sind war sein mit ohne in im
            am an auf aus bei von vom zu zum zur für über unter hinter vor neben nach was wer wen wem wessen wie
            wo wann warum wohin woher womit
            worauf woran worin worüber wofür welche welcher welches welchen welchem sich nicht kein keine keinen aber
            als auch sehr es er sie seine seinen seinem seiner ihre ihren ihrem ihrer trägt hält steht sitzt hat
            haben scheint während durch gerade dieser diese dieses beschreibe macht tut trinkt isst liest sieht
            schaut""",
        "pt": """o a os as um uma uns umas de do da dos das ao à aos no na nos nas em com e ou é está estão são era
            ser sem por para que quê quem como onde quando qual quais quanto quantos quantas seu sua seus suas
            se lhe não mas mais muito este esta esse essa há usa veste vestindo tem têm segura segurando parece
            enquanto sobre atrás diante sentado sentada olha pela pelo ele ela dela dele você descreva o_que
            por_que fazendo lendo comendo bebendo usando escrevendo diz faz olhos outras outros rosto sente
            livro aparece""",
        "it": """il lo la i gli le un uno una di del della dei delle degli dello al alla ai alle da dal dalla in nel
            nella nei nelle con e o è sono era essere senza per che chi cosa cos' come dove quando quale quali
            quanto quanti suo sua suoi sue si non ma più molto questo questa c' indossa porta tiene ha hanno
            sembra mentre su sul sulla sullo dietro davanti accanto seduto seduta descrivi perché sta com' dov'
            com'è dov'è cos'è c'è l' dell' all' nell' dall' sull' un'""",
        "nl": """de het een en of is zijn was wordt van met zonder in op aan uit bij naar voor door over onder achter
            naast wat wie waar wanneer waarom hoe welke welk er niet geen maar als ook zeer zij hij haar hun
            deze die dit dat draagt houdt staat zit heeft lijkt terwijl aan het beschrijf doet""",
        "pl": """i w we z ze na do od o u po za przed pod nad przy jest są był była być nie ale jak co kto kogo komu
            czym gdzie kiedy dlaczego jaki jaka jakie jakiego jaką ile czy się to ten ta te jego jej ich ma nosi
            trzyma stoi siedzi bardzo oraz lub który która opisz robi""",
        "tr": """ve bir bu şu o ile için gibi ne kim nerede nasıl neden niçin hangi kaç mi mı mu mü değil var yok çok
            daha da de ama giyiyor tutuyor duruyor oturuyor yapıyor bakıyor üzerinde altında yanında arkasında
            önünde renk nedir kimdir olan olarak""",
        "vi": """và là của có không được đang một những các trong ngoài trên dưới với cho người này đó gì ai đâu nào
            sao thế mặc cầm đứng ngồi màu chiếc cái rất nhưng ở tại""",
        "id": """yang dan di ke dari dengan untuk ini itu adalah tidak bukan apa siapa mana kapan mengapa bagaimana
            berapa sedang memakai mengenakan memegang berdiri duduk sebuah seorang pada dalam atas bawah oleh
            juga""",
        "sv": """och är en ett den det de som på av med till för från i om inte men han hon vad vem var när varför
            hur vilken vilket vilka har bär håller står sitter sin sitt sina""",
        "da": """og er en et den det de som på af med til for fra i om ikke men han hun hvad hvem hvor hvornår
            hvorfor hvordan hvilken hvilket har bærer holder står sidder sin sit sine""",
        "cs": """a je jsou byl byla být v ve na s se z ze do od po za před pod nad u o co kdo kde kdy proč jak jaký
            jaká jaké kolik není ale jako svůj jeho její má nosí drží stojí sedí velmi který která""",
        "ro": """și este sunt era un o în pe cu la de din pentru ce cine unde când cum care câte nu dar ca mai foarte
            lui ei poartă ține stă are""",
        "hu": """a az egy és van volt nem de hogy mi mit ki kit hol mikor miért hogyan milyen hány visel tart áll ül
            nagyon is meg""",
        "fi": """ja on ei se hän mitä mikä kuka missä milloin miksi miten minkä kuinka yllään pitää seisoo istuu
            mutta joka kanssa""",
    }.items()
}

# If languages have the same number of words, these are the likely ones.
COMMON_LANGUAGES = ("en", "es", "fr", "de", "pt")

# Letters that occur in one of the languages only.
DISTINCTIVE_LETTERS: dict[str, str] = {
    "es": "ñ¿¡",
    "de": "ß",
    "fr": "œ",
    "pt": "ãõ",
    "pl": "ąęłżźśćń",
    "tr": "ğış",
    "vi": "đơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ",
    "cs": "řůě",
    "ro": "ășț",
    "hu": "őű",
}
