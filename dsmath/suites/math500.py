"""MATH-500 as an index into MATH's test set: 500 problems, in the order in which PRM800K's authors publish them.

The index names a problem by its words (`digest`), so that it holds for each order and layout of MATH. Made from a
public copy of PRM800K's test split; subjects and levels come out as in that split.
"""

import dataclasses
import hashlib
from collections.abc import Sequence

from dsmath.records import Problem
from dsmath.suites.published import Row
from dsmath.suites.suite import Download, Layout, Suite, check

_DIGESTS = """
292f04c1 77f17a01 dd48d65e 32c3cda4 9a3b9c3b 8e0aeeb8 1866ff06 7d025290 c0364fc6 c93b65d8 92992c0e 4f194950
a3f40663 8d5123e5 537e549f 24a265b2 2751b725 eee9872e 4d3f648f 2708356a cce9209b d051c797 8e69fc01 2aeafb5e
d679be77 903fe038 74aae40c ba83e92e 19726ea8 707c6d67 28f0bde5 b366ba89 7f11b7a5 4357e31d 9b85603b 9cf00bc3
5b1d584c 18d8d614 c667b151 e8bbc51e 72453fd3 2107ef23 d9f531b9 252b4d17 32b099c0 e560d5cf 7f218e0d 86e62355
427075ea 3d1f09ed 4639686b 5d4e128b cb1c7733 21b63c00 18a164d5 c6f83b08 8c8f9625 7fc009d3 22b1b3e3 f847551c
81b70497 a8493203 f5ace075 1d11f9ff ca5be300 0f8bfc43 a03b6b4a 3c77f3ab 108f8153 4aec4eb7 5b29870e 29b2b39d
9762de06 5031411c f75c04ea 09bee343 af2fadb6 21e3aa0c 979ab2c1 7f472ed5 07e22408 98ba12c7 5bf83c63 fb2f7de9
e684634d a89fbb80 0a59d12e 214693f1 2ac3a772 86dafa42 9b46e3d6 eb3187c3 9d135f32 ecf5fa92 e07414bb 2469e03a
a9c13cf2 ecdad8d7 e87c5427 fdc8aba1 60898239 68c9e370 8870acf1 81dd044c c4af92bf 766ede37 1ebb7bb0 6195174a
a0041119 61fa7265 ced521d9 73440cb7 d7d47865 de4a1c58 f604ddc2 9e0b1d33 44174d8b de0c58f0 96c5e637 c05b2b3a
96a8c62f a4a92af3 d41930bf afbe085e 7cc8cf55 4bf09b44 234b3190 22d4c2de 1a7c478b 5bc56116 57d488b1 7ab99f8c
2ec5d51b 21082726 26def20d 3367017f 3141b266 28551dcc a8c40013 49d399a2 a1eed86e 607ec7f4 4928f50a 2757934e
85bf8271 90a95247 afe7eeff d4b549c0 782deeef dbb13812 72d9cb63 233c7e1c bf1b475d d72f569d 88bd1d42 4c1c2d96
8cb4b95c 5d38b315 20299b97 adefdc21 b8f8d232 4e199d07 de2d1c47 b884ea4d 3b4ca6dc 5c91e363 d66dea6f 2bb95410
3b7c38f5 e6c63226 b0e97322 7317c41e 08306232 86429feb 150eaf9a bdd65b73 b223f2dd 435f3b85 34876d45 dbc9f46d
4ecc75de 0d469d0e 21077807 9dadcec4 50a5b8ab 58aab227 07f83eec b4bdce0b 5a8c5010 c35f8604 db4c0ed2 36fd071c
fa813079 f3816a01 feb014ba 746eb370 a54460c3 c09864a5 3808c227 d66a40c7 ee7c7225 59321691 e76531f9 a862cde6
0743e379 b3d76873 88f73bae 897bfae7 5b79ff26 f3a7efe8 5c51433d 693ebe9d 6f0e66a3 88661c50 87cc54d7 f5c172c8
d871815d f79eb369 a0be6631 31e7929f 6c70163c b5dc33c4 0eb62fab 4ad5306c d3823d13 afef14ae 1274ec92 adb03f37
e8571484 3e3197b5 8078ab59 42517366 45d23284 072eba22 80a5aa2c b85cd3a0 eeedc13a 55ddbdf1 ea56df40 dbe25f76
630b81af f2c81f01 f63d2aeb 5567e2eb 6756a2e7 e497bfcb d8224979 0c31b4a5 b248cb4a ee1b3a25 b4c65e92 69fc365b
f612b9ef 26add22e 6fe51888 377a092a 746a8f87 cf3312d8 7c50e325 79b7b095 7a741a2c d2abc396 ec1f8b82 9c713fb1
7aa14269 83864f87 c1649285 e77e1c6b ded0ffd3 3447eebb 1e70b445 a5b3b535 71eae2be 20855ff8 b52eb639 1abaefe2
a153bf64 80883c8d 4b89940b aa943667 7402b093 10dc5371 9377eb19 24cffc73 997fde68 1ea3d389 4090b378 d699cb73
dbb4f569 61623a4f 8e94732c dedb35ff db31d840 5b28247e cb95bc64 0df32597 57971ca6 eee898cf 6e8cc3de a6309a04
3cbf37a6 869fd921 d41322c9 f5538ac4 a66962fe d308b5bb ebebe01a 54691fce 0b7036eb 116237df d617e0f4 5d688c1d
92568e30 2453029b 4b5b1917 3b953669 eb20fcfb 2f7c46ab ea43c5a8 9546fca3 1b433f19 02480d2c 3c62a0ac 50d8fc4d
b39e1484 ea88ff69 9c621eff 7c500c08 0809a483 3d356b31 4d7f9315 118be303 543fa2b4 71fc61f4 4dc2dc42 778f458d
73f279c3 b18bba58 ab7e10c4 87a738fd bd24d198 0410748c bdd43ed0 4ee4220e 53216a75 7f3bd86e 2e9a888b 76bb173b
24416ee0 0be67f06 a56e179f b498a7ba 7295bd92 f25c15fb 59b33804 02e1cce4 05eb5a17 9ecc4ef9 d4b934f6 77dcb63f
3dd318b4 27304254 ee02cd5b a325f288 0d263edc eed95945 498bac6c 2bf2a416 9fb72618 553cee3c a4363ea6 a761c382
2d9df140 cd12e854 5acc6365 9f3b9f8d e86aeb48 a509f3e3 ac286982 83233254 45e5f765 21279e30 c26bf376 30257ce5
93d733b4 e38a82f1 25496c58 6c3d09ab 8f00399e 04fc1355 c132bc99 4cc7f8fe de0a9f55 7d076f64 3b7adb5c 96594166
d0cd918e fdd18857 2cd77149 c4f4fd84 370853d3 ea0162ad c6546505 3bc30c4c 0c9bf35e 8d14c583 d1c9cde9 4ad774d0
c26fe504 5b62e67b d3e99085 ca9cbef0 06d5aeab 1c084e43 2c3d89ca ef20b746 ec4a6e56 fc0a8c35 7ae13788 50586870
4eb54cd6 1e6f33c6 9a933b48 a224416f cbe5b6b4 ab8474b5 db0260fb ad5b14b2 9a5554ea 89ee4e5d 2ca7e059 ab5a486c
4e48831b d43b5b59 b93d9294 59930f06 2bf992ca d3161eaf f23b3054 d32a3fa0 edc76d80 0c7d885a 9855ca47 310d3a04
324f53c5 4f5508d9 e1530f57 ec7aef67 c97bae96 5df990bd 983cb8f8 0f74f332 f7d45d9e dbd32319 f83aecab 7edb0005
1adc8b1c ae0a8ba5 ebfbf81b cdaeb4bf c9035b63 48e7b5d5 0887851f 25b30ae8 d3610a7a e670b2f6 d708ac38 8339ed01
a54ef7e3 6a73c9a2 4539e8f7 63fb0c19 fc0b0712 66777c6b 89f1d351 d4e914d3 70cf8bf9 fbe8ea1d 3cd65d33 1bddb019
6bb3caec 137a333d d1e39ceb 7b5a516c 82761178 883f43c1 232c1305 a9c68bbd f6faf097 24b6ac40 e0cb6d0f 17002c40
3d4b6f28 953b683f e6376885 4ecfbe0b 594ea12e 289d8fe7 b102f75a d95c3138
"""
INDEX = tuple(_DIGESTS.split())


def digest(question: str) -> str:
    """Names a question by its words, whatever the white space between them."""
    return hashlib.sha256(" ".join(question.split()).encode()).hexdigest()[:8]


def select(problems: Sequence[Problem], where: str) -> list[Problem]:
    """The problems of MATH that are in MATH-500. Raises UserError if some are missing; `where` is named then."""
    by_digest = {digest(problem.question): problem for problem in problems}
    found = [
        dataclasses.replace(by_digest[name], id=f"math500-test-{place}", suite=SUITE.name)
        for place, name in enumerate(INDEX)
        if name in by_digest
    ]
    check(SUITE, found, where)
    return found


def _meta(row: Row) -> Row:
    return {"level": f"Level {row['level']}", "type": row["subject"]}


SUITE = Suite(
    name="math500",
    title="MATH-500",
    langs=("en",),
    citation="Lightman et al., Let's Verify Step by Step, 2023, arXiv:2305.20050; problems of MATH's test set",
    size=500,
    layout=Layout(
        files=(("test.jsonl",),),
        downloads=(
            Download(
                "test.jsonl",
                "https://media.githubusercontent.com/media/openai/prm800k/7ecc794703b2877f63226f2477a49b34f9b25163/"
                "prm800k/math_splits/test.jsonl",
                "35dc41080a3680858b27fa7e0533d2d547825316fc5dafe5d316f4ccc5a06132",
            ),
        ),
        question=lambda row: row["problem"],
        gold=lambda row: row["solution"],
        meta=_meta,
    ),
    gold_is_solution=True,
    part_of="math",
    select=select,
)
