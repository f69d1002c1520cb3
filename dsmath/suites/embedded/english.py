"""The embedded problems in English."""

from dsmath.suites.embedded.forms import Language, Wording

WORDINGS = {
    "boxes": Wording(
        "{who} packs {a} boxes with {b} {what} in each. How many {what} is that?",
        "Multiply the boxes by the number in each.",
    ),
    "boxes_given_away": Wording(
        "{who} buys {a} bags of {b} {what} and gives away {c} {what}. How many {what} are left?",
        "Multiply, then take away what is given.",
    ),
    "tickets": Wording(
        "A theatre sells {a} tickets at {b} dollars and {c} tickets at {d} dollars. How many dollars does it take in?",
        "Add the two sales.",
    ),
    "lost": Wording(
        "{who} has {a} {what} and loses {b} of them. How many {what} are left?",
        "Subtract what is lost.",
    ),
    "colours": Wording(
        "A jar holds {a} red, {b} blue and {c} green {what}. How many {what} does it hold?",
        "Add the three numbers.",
    ),
    "fraction_of": Wording(
        "A library has {a} books, and {b}/{c} of them are novels. How many novels does it have?",
        "Take the fraction of the books.",
    ),
    "fraction_left": Wording(
        "A tank holds {a} litres of water. A farmer uses {b}/{c} of it. How many litres are left?",
        "Take away the part that is used.",
    ),
    "half": Wording(
        "{who} and a friend share {a} {what} equally. How many {what} does each get?",
        "Take one half.",
    ),
    "percent_of": Wording(
        "A town has {a} people, and {b}% of them are children. How many children are there?",
        "Take the percentage of the people.",
    ),
    "discount": Wording(
        "A piano costs {a} dollars. The price falls by {b}%. What is the new price in dollars?",
        "Take away the discount.",
    ),
    "interest": Wording(
        "{who} lends {a} dollars at {b}% simple interest a year. How many dollars of interest come in {c} years?",
        "Find the interest of one year, then multiply by the years.",
    ),
    "distance": Wording(
        "A plane flies {a} km every hour. How many km does it fly in {b} hours?",
        "Multiply speed by time.",
    ),
    "speed": Wording(
        "A ship sails {a} km in {b} hours at one speed. What is its speed in km per hour?",
        "Divide the distance by the time.",
    ),
    "machine": Wording(
        "A machine makes {a} {what} an hour and runs {b} hours a day. How many {what} does it make in {c} days?",
        "Find what it makes in a day, then multiply by the days.",
    ),
    "meet": Wording(
        "Two trains run towards each other at {a} and {b} km per hour and meet after {c} hours. "
        "How many km apart were they?",
        "Add the speeds, then multiply by the time.",
    ),
    "age_times": Wording(
        "A tree is {a} years old. A castle is {b} times as old. How old will the castle be in {c} years?",
        "Find the age now, then add the years.",
    ),
    "age_sum": Wording(
        "The ages of two towers add up to {a} years. One is {b} years older. How old is the younger one?",
        "Take away the difference, then halve.",
    ),
    "rectangle": Wording(
        "A field is {a} m long and {b} m wide. What is its area in square metres?",
        "Multiply length by width.",
    ),
    "perimeter": Wording(
        "A park is {a} m long and {b} m wide. How many metres of fence go around it?",
        "Add length and width, then double.",
    ),
    "triangle": Wording(
        "A triangle has a base of {a} cm and a height of {b} cm. What is its area in square cm?",
        "Multiply base by height, then halve.",
    ),
    "volume": Wording(
        "A pool is {a} m long, {b} m wide and {c} m deep. What is its volume in cubic metres?",
        "Multiply length, width and depth.",
    ),
    "more_than_times": Wording(
        "The number {a} is {b} more than {c} times a number. What is the number?",
        "Subtract, then divide.",
    ),
    "quotient_equation": Wording(
        "Solve n / {a} = {b} + {c} for n.",
        "Add, then multiply.",
    ),
    "shopping": Wording(
        "{who} pays {a} dollars for a lamp of {b} dollars and {c} equal chairs. How many dollars does one chair cost?",
        "Subtract the lamp, then divide.",
    ),
    "average_three": Wording(
        "Three runs are {a} m, {b} m and {c} m long. What is their average length in metres?",
        "Add the three, then divide by 3.",
    ),
    "average_two": Wording(
        "Two bags weigh {a} g and {b} g. What is their average weight in g?",
        "Add the two, then halve.",
    ),
    "average_total": Wording(
        "A team scores {a} points on average in {b} games, then {c} points in one more game. "
        "How many points is that in all?",
        "Multiply, then add the last game.",
    ),
    "remainder": Wording(
        "{who} puts {a} {what} into boxes of {b} until no box can be filled. How many {what} are left over?",
        "Find the remainder.",
    ),
    "tens": Wording(
        "{who} ties {a} {what} into bundles of {b}. How many {what} are left over?",
        "Find the remainder.",
    ),
}

ENGLISH = Language(
    code="en",
    names=("Amy", "Ben", "Carla", "David", "Emma", "Frank", "Grace", "Henry"),
    nouns=("pens", "apples", "stamps", "beads", "cards", "books", "eggs", "shells"),
    space=" ",
    stop=".",
    conclusion="The answer is \\boxed{{{answer}}}.",
    wordings=WORDINGS,
)
