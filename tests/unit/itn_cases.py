"""What people say and what a reader wants to see, by kind; what the normalizer cannot do is listed beside it.

A case is ``said => written``; a line without an arrow must stay as it is. A known miss is ``said => written today |
wanted``: the test fails when it changes, so that this table stays true.
"""

CASES = {
    "chinese whole numbers": """
        三十五 => 35
        今年三十五岁 => 今年35岁
        一百零三 => 103
        一百一十五 => 115
        两百 => 200
        三百五 => 350
        一千零五十 => 1050
        一千三 => 1300
        两万五 => 25000
        两万五千里 => 25000里
        一万两千三百四十五 => 12345
        三十万 => 300000
        四百二十三万 => 423万
        一亿四千万 => 1亿4000万
        十四亿人 => 14亿人
        二十五个人 => 25个人
        三百多人 => 300多人
        一千多万 => 1000多万
        从三十涨到五十 => 从30涨到50
        两萬五千 => 25000
    """,
    "chinese dates and years": """
        二零二六年三月五日 => 2026年3月5日
        一九四九年十月一日 => 1949年10月1日
        二零二六年三月 => 2026年3月
        三月八号 => 3月8号
        五月一号 => 5月1号
        十二月三十一日 => 12月31日
        一九九八年 => 1998年
        两千零八年 => 2008年
        零八年北京奥运会 => 08年北京奥运会
        九五年 => 95年
        八十年代 => 80年代
        二十一世纪 => 21世纪
        去年十二月 => 去年12月
        二零二六年到二零三零年 => 2026年到2030年
    """,
    "chinese times": """
        下午两点四十五分 => 下午2点45分
        今天是二零二六年三月五日下午两点四十五分。 => 今天是2026年3月5日下午2点45分。
        晚上九点十五分 => 晚上9点15分
        早上八点 => 早上8点
        中午十二点 => 中午12点
        凌晨三点零五分 => 凌晨3点05分
        三点四十五 => 3点45
        两点半 => 2点半
        两点一刻 => 2点一刻
        三点钟 => 3点钟
        周二下午三点 => 周二下午3点
        上午十点三十分到下午五点 => 上午10点30分到下午5点
        下午两点到三点 => 下午2点到3点
        二十三点五十九分 => 23点59分
        三十分钟 => 30分钟
        十分钟 => 10分钟
        二十四小时 => 24小时
    """,
    "chinese money": """
        一百二十三块五毛 => 123块5毛
        三块五 => 3块5
        三块五毛一斤 => 3块5毛一斤
        一千两百三十四块五毛六 => 1234块5毛6
        十块钱 => 10块钱
        五百六十七元 => 567元
        一千二百美元 => 1200美元
        二百五十块钱 => 250块钱
        三点五亿元 => 3.5亿元
    """,
    "chinese shares, fractions, decimals, scores": """
        百分之三十五点六 => 35.6%
        百分之五 => 5%
        百分之百 => 100%
        百分之零点五 => 0.5%
        百分之三到五 => 3%到5%
        百分之三十到百分之四十 => 30%到40%
        百分之三点五到四点二 => 3.5%到4.2%
        百分之五到六点五 => 5%到6.5%
        百分之二十到三十五点五 => 20%到35.5%
        百分之九十九点九几
        九十九点九几
        调频一零三点七兆赫
        三分之二 => 2/3
        十分之一 => 1/10
        三点一四 => 3.14
        零点五 => 0.5
        一点五倍 => 1.5倍
        三点五分 => 3.5分
        三比二 => 3:2
        二十一比十九 => 21:19
    """,
    "chinese units and degrees": """
        十公斤 => 10公斤
        每小时五十公里 => 每小时50公里
        一百五十平方米 => 150平方米
        六十千克 => 60千克
        三千米 => 3000米
        他身高一米八 => 他身高1米8
        一米七五 => 1米75
        三十八度五 => 38度5
        三十六点五度 => 36.5度
        零下五度 => 零下5度
        气温零下十五度 => 气温零下15度
        负三十五 => -35
        误差正负零点五毫米 => 误差正负0.5毫米
        正负五度
        正负十度 => 正负10度
        三十五摄氏度 => 35摄氏度
    """,
    "chinese rows of digits, ordinals, versions": """
        一三八零零一三八零零零 => 13800138000
        幺三八零零一三八零零零 => 13800138000
        我的电话是零幺零六二五五三三八八 => 我的电话是01062553388
        拨打九五五八八 => 拨打95588
        幺幺零 => 110
        房间三零二 => 房间302
        三零一医院 => 301医院
        第三十五名 => 第35名
        第十一届 => 第11届
        版本一点二点三 => 版本1.2.3
        版本二点零 => 版本2.0
        双十一 => 双11
    """,
    "points that are made, beside decimals": """
        有一点一定要注意
        有一点一直没有说清楚
        有两点一定要注意
        有一点一般人不知道
        強調一點三月份必須完成
        强调一点十二月份必须完成
        我补充一点五月份要交
        还有一点二零二六年要上线
        注意一点五一期间要值班
        补充两点一是时间二是钱
        这一点二十个人都知道
        十一点一定到
        他说一点二十开会 => 他说1点20开会
        他说一点零五分到 => 他说1点05分到
        再等一点五分钟 => 再等1.5分钟
        有一点五倍的差距 => 有1.5倍的差距
        有一点五个小时 => 有1.5个小时
        还有一点五 => 还有1.5
        准确率只有一点五个百分点 => 准确率只有1.5个百分点
        At one point five people were arrested.
        at one point two men came in
        at one point five percent => at 1.5%
        rates stayed at one point five in june => rates stayed at 1.5 in june
        at one point five million people => at 1.5 million people
        at one point two five volts => at 1.25 volts
    """,
    "english numbers next to each other": """
        between one hundred and ten thousand dollars
        between two hundred and five thousand people
        between one hundred and ten million people
        one thousand two thousand three thousand
        ten thousand twenty thousand
        five hundred thousand six hundred thousand people
        between two hundred and fifty and three hundred => between 250 and 300
        between one hundred and two hundred people => between 100 and 200 people
        between five dollars and fifty cents and ten dollars => between $5.50 and $10
        one billion two million three thousand and four => 1002003004
        one hundred and twenty fifth anniversary => 125th anniversary
        the one hundred and first airborne => the 101st airborne
        one hundred and second
        nineteen hundred and forty five => 1945
        between nineteen hundred and nineteen fifty => between 1900 and 1950
        two thousand and two thousand => 2000 and 2000
        the philadelphia seventy sixers
        the san francisco forty niners
        twenty somethings
        oh oh oh my god
        oh oh seven => 007
    """,
    "chinese that stays": """
        十有八九会下雨。
        三心二意
        一心一意
        五湖四海
        七上八下
        三番五次
        九牛一毛
        乱七八糟
        四面八方
        十全十美
        一五一十
        九九八十一
        不管三七二十一
        五十步笑百步
        不怕一万就怕万一
        万一
        一起
        一些
        一样
        一下
        一直
        一点也不
        有一点
        第一时间
        第三
        张三李四王五
        千万别
        十分好
        双手合十
        红十字会
        十一黄金周
        正月十五
        八月十五
        七八年
        三五个人
        三四十个
        十七八岁
        十几个
        几十个
        数百万
        成千上万
        两个人
        我们有三个苹果
        五分钟
        我们一块三个人去
        周三
        周三十点开会
        星期一
        负责
        二百五
        七七八八
        五花肉
        一二三
        五四三二一
        国庆七天
        千分之三
    """,
    "english whole numbers": """
        twenty five people => 25 people
        twenty-five people => 25 people
        Twenty-five, thirty-six and forty. => 25, 36 and 40.
        one hundred and twenty three => 123
        three hundred sixty five days => 365 days
        a hundred and five => 105
        one thousand two hundred => 1200
        fifteen hundred => 1500
        ten thousand steps => 10000 steps
        two hundred thousand => 200000
        one million people => 1 million people
        five hundred million => 500 million
        two million three hundred thousand => 2300000
        between five and twenty five => between five and 25
        I've got thirty three. => I've got 33.
        at this point twenty people => at this point 20 people
    """,
    "english dates and years": """
        march fifth twenty twenty six => march 5 2026
        July fourth, nineteen eighty four => July 4, 1984
        december thirty first => december 31
        on may first => on may 1
        may the fourth => may the 4th
        the fourth of july => the 4th of july
        january twenty second => january 22
        nineteen eighty four => 1984
        in two thousand and eight => in 2008
        in twenty twenty => in 2020
        in nineteen oh five => in 1905
        the nineteen eighties => the 1980s
    """,
    "english times": """
        two forty five p.m. => 2:45 p.m.
        It ends at eleven thirty p.m. => It ends at 11:30 p.m.
        at eight am => at 8 am
        eight a m => 8 a m
        twelve oh five p.m. => 12:05 p.m.
        seven o'clock => 7 o'clock
    """,
    "english money and shares": """
        twenty five dollars and fifty cents => $25.50
        it costs five dollars => it costs $5
        two point five million dollars => $2.5 million
        one hundred euros => €100
        fifty cents => 50 cents
        thirty five point six percent => 35.6%
        five per cent => 5%
        a hundred percent => 100%
    """,
    "english fractions, decimals, degrees, units": """
        two thirds => 2/3
        three quarters of an hour => 3/4 of an hour
        one fifth of the people => 1/5 of the people
        three point one four => 3.14
        zero point five => 0.5
        one point five million => 1.5 million
        minus five degrees => -5 degrees
        minus twenty five point five => -25.5
        sixty miles per hour => 60 miles per hour
        five hundred meters => 500 meters
    """,
    "english rows of digits, ordinals, versions": """
        five five five one two three four => 5551234
        five five five one two three four five six seven => 555-123-4567
        call nine one one => call 911
        room one oh one => room 101
        zero zero seven => 007
        version one point two point three => version 1.2.3
        the twenty first century => the 21st century
        the thirty third floor => the 33rd floor
        nineteenth => 19th
    """,
    "english that stays": """
        one of them
        no one
        someone
        at once
        one by one
        one another
        one or two
        I have two cats
        first of all
        at first
        second to none
        half past three
        nine to five
        on cloud nine
        fifty fifty
        catch twenty two
        four score and seven years ago
        a hundred times
        a million thanks
        one two three go
        three two one
        twenty thirty people
        a twenty second delay
        you may first want
        we march ten miles
        one third party
        ten minus five
        two quarters
    """,
    "both": """
        我有twenty five个苹果和三十五个梨 => 我有25个苹果和35个梨
        他说twenty five然后说三十五。 => 他说25然后说35。
        我买了iPhone十五 => 我买了iPhone15
        用了二十GB流量 => 用了20GB流量
        航班CA一三五七 => 航班CA1357
        版本号是version two point five => 版本号是version 2.5
        the 三十五 is thirty five => the 35 is 35
    """,
}

#: What is written today, and what a reader would rather see.
MISSES = """
    车牌A一二三四五 => 车牌A一二三四五 | 车牌A12345
    千分之三十五 => 千分之三十五 | 35‰
    二十块零五毛 => 20块零五毛 | 20块零5毛
    负五 => 负五 | -5
    一又二分之一 => 一又二分之一 | 1又1/2
    五加三等于八 => 五加三等于八 | 5+3=8
    version three point eleven point zero => version three point eleven point zero | version 3.11.0
    double o seven => double o seven | 007
    forty second street => forty second street | 42nd street
    in the eighties => in the eighties | in the '80s
    let's meet at ten thirty => let's meet at ten thirty | let's meet at 10:30
    one eight hundred five five five => one eight hundred five five five | 1-800-555
    www dot google dot com => www dot google dot com | www.google.com
    five and a half percent => five and a half percent | 5.5%
    a twenty-minute walk => a twenty-minute walk | a 20-minute walk
"""
