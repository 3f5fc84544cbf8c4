"""A sentence about the pictures in each language that questions are recognised in, besides English and Chinese."""

from __future__ import annotations

# The tag comes first, with a particle where the language needs one.
SENTENCES = {
    "ar": "{tag} موجود في صورة حجمها {size} بكسل.",
    "be": "{tag} знаходзіцца на здымку памерам {size} пікселяў.",
    "bn": "{tag} এই ছবিতে আছে, যার আকার {size} পিক্সেল।",
    "cs": "{tag} je na obrázku, který má {size} pixelů.",
    "da": "{tag} er på et billede, som har {size} pixels.",
    "de": "{tag} ist auf einem Bild mit {size} Pixeln zu sehen.",
    "el": "{tag} βρίσκεται σε εικόνα με μέγεθος {size} εικονοστοιχεία.",
    "es": "{tag} está en una imagen de {size} píxeles y se ve muy bien.",
    "fa": "{tag} در تصویری است که اندازه آن {size} پیکسل است.",
    "fi": "{tag} on kuvassa, jossa on {size} kuvapistettä.",
    "fr": "{tag} est dans une image de {size} pixels et se voit très bien.",
    "he": "{tag} נמצא בתמונה בגודל {size} פיקסלים.",
    "hi": "{tag} इस चित्र में है, जिसका आकार {size} पिक्सेल है।",
    "hu": "{tag} egy {size} képpontos képen van, és jól látszik.",
    "id": "{tag} ada di dalam gambar yang berukuran {size} piksel.",
    "it": "{tag} è in un'immagine di {size} pixel e si vede molto bene.",
    "ja": "{tag}は{size}ピクセルの写真に写っています。",
    "ko": "{tag} 모습이 {size} 픽셀 크기의 사진에 있습니다.",
    "nl": "{tag} is te zien op een foto van {size} pixels.",
    "pl": "{tag} jest na zdjęciu o wymiarach {size} pikseli.",
    "pt": "{tag} está numa imagem de {size} píxeis e vê-se muito bem.",
    "ro": "{tag} este într-o imagine de {size} pixeli.",
    "ru": "{tag} находится на снимке размером {size} пикселей.",
    "sv": "{tag} är på en bild som har {size} pixlar.",
    "ta": "{tag} இந்தப் படத்தில் உள்ளது, அதன் அளவு {size} பிக்சல்.",
    "th": "{tag} อยู่ในภาพขนาด {size} พิกเซล",
    "tr": "{tag} bu {size} piksellik resimde çok iyi görünüyor.",
    "uk": "{tag} знаходиться на знімку, що має розмір {size} пікселів.",
    "ur": "{tag} اس تصویر میں ہے جس کا سائز {size} پکسل ہے۔",
    "vi": "{tag} ở trong một bức ảnh có kích thước {size} điểm ảnh.",
}
