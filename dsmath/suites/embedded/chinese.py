"""The embedded problems in Chinese."""

from dsmath.suites.embedded.forms import Language, Wording

WORDINGS = {
    "boxes": Wording("{who}装了{a}箱{what}，每箱{b}个。一共有多少个{what}？", "用箱数乘每箱的个数。"),
    "boxes_given_away": Wording(
        "{who}买了{a}袋{what}，每袋{b}个，送出{c}个。还剩多少个{what}？", "先求总数，再减去送出的。"
    ),
    "tickets": Wording("剧院卖出{a}张{b}元的票和{c}张{d}元的票。一共收入多少元？", "把两种票的收入相加。"),
    "lost": Wording("{who}有{a}个{what}，丢了{b}个。还剩多少个？", "减去丢掉的。"),
    "colours": Wording("罐子里有{a}个红{what}、{b}个蓝{what}和{c}个绿{what}。一共有多少个？", "把三个数相加。"),
    "fraction_of": Wording("图书馆有{a}本书，其中{b}/{c}是小说。小说有多少本？", "求总数的几分之几。"),
    "fraction_left": Wording("水箱里有{a}升水，用去{b}/{c}。还剩多少升？", "减去用去的部分。"),
    "half": Wording("{who}和朋友平分{a}个{what}。每人分到多少个？", "求一半。"),
    "percent_of": Wording("小镇有{a}人，其中{b}%是儿童。儿童有多少人？", "求总数的百分之几。"),
    "discount": Wording("一架钢琴{a}元，降价{b}%。现价是多少元？", "减去降价的部分。"),
    "interest": Wording("{who}存款{a}元，年利率{b}%，按单利算。{c}年的利息是多少元？", "先求一年的利息，再乘年数。"),
    "distance": Wording("飞机每小时飞{a}千米。{b}小时飞多少千米？", "用速度乘时间。"),
    "speed": Wording("轮船走{a}千米用了{b}小时。每小时走多少千米？", "用路程除以时间。"),
    "machine": Wording("机器每小时做{a}个{what}，每天开{b}小时。{c}天做多少个？", "先求一天做的，再乘天数。"),
    "meet": Wording(
        "两车相向而行，每小时分别走{a}和{b}千米，{c}小时后相遇。原来相距多少千米？", "先求速度和，再乘时间。"
    ),
    "age_times": Wording("一棵树{a}岁，古堡的年龄是它的{b}倍。{c}年后古堡多少岁？", "先求现在的年龄，再加年数。"),
    "age_sum": Wording("两座塔的年龄之和是{a}岁，一座比另一座大{b}岁。较小的多少岁？", "先减去差，再求一半。"),
    "rectangle": Wording("一块田长{a}米，宽{b}米。面积是多少平方米？", "用长乘宽。"),
    "perimeter": Wording("公园长{a}米，宽{b}米。围一圈要多少米篱笆？", "先求长与宽的和，再乘2。"),
    "triangle": Wording("三角形的底是{a}厘米，高是{b}厘米。面积是多少平方厘米？", "底乘高，再求一半。"),
    "volume": Wording("水池长{a}米，宽{b}米，深{c}米。体积是多少立方米？", "把长、宽、深相乘。"),
    "more_than_times": Wording("{a}减去{b}，等于一个数的{c}倍。这个数是多少？", "先减，再除。"),
    "quotient_equation": Wording("解方程：n / {a} = {b} + {c}。", "先加，再乘。"),
    "shopping": Wording("{who}花{a}元买了一盏{b}元的灯和{c}把同样的椅子。一把椅子多少元？", "先减去灯的钱，再除。"),
    "average_three": Wording("三条路分别长{a}米、{b}米和{c}米。平均长多少米？", "三个数相加，再除以3。"),
    "average_two": Wording("两袋米分别重{a}克和{b}克。平均重多少克？", "两个数相加，再求一半。"),
    "average_total": Wording("球队平均每场得{a}分，打了{b}场，又一场得{c}分。一共得多少分？", "先乘，再加最后一场。"),
    "remainder": Wording("{who}把{a}个{what}装盒，每盒装满{b}个。最后剩几个？", "求余数。"),
    "tens": Wording("{who}把{a}个{what}分组，每组{b}个。最后剩几个？", "求余数。"),
}

CHINESE = Language(
    code="zh",
    names=("小明", "小红", "小刚", "小丽", "小华", "小芳", "小军", "小雨"),
    nouns=("苹果", "气球", "杯子", "鸡蛋", "橘子", "玩具", "皮球", "纽扣"),
    space="",
    stop="。",
    conclusion="答案是\\boxed{{{answer}}}。",
    wordings=WORDINGS,
)
